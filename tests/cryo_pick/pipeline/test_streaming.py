"""A tomogram that doesn't fit in the memory gives the picks of one that does."""

from __future__ import annotations

import errno
import logging
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cryo_pick.errors import InputError
from cryo_pick.formats.mrc import open_mrc, write_mrc
from cryo_pick.formats.ome_zarr import open_ome_zarr, write_ome_zarr
from cryo_pick.formats.zarr_volume import ZarrVolume
from cryo_pick.mapped import MappedVolume
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.picker import Picker, load_picker
from cryo_pick.pipeline.predict import pick_tomogram
from cryo_pick.pipeline.reading import opened_within
from cryo_pick.spooled import SpooledVolume
from cryo_pick.tomogram import Tomogram
from detector.heatmap_file import HeatmapFile
from detector.settings import CandidatesSettings, InferSettings
from refiner.score import score_candidates
from tests.cryo_pick.pipeline.conftest import SHAPE

INFER = InferSettings(tile=[32, 48, 48], overlap=[16, 16, 16], engine="torch", accelerator="cpu")
ASKED = CandidatesSettings(threshold=0.02, kernel=5)
SPACING = (20.0, 20.0, 20.0)


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def picker(bundle: Path) -> Picker:
    whole = load_picker(bundle, True, INFER, ASKED)
    return replace(whole, engines=whole.engines[:1], refiners=whole.refiners[:1])


@pytest.fixture(scope="module")
def stored(volume: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OME-Zarr in chunks that tiles and patches cut across."""
    path = tmp_path_factory.mktemp("stored") / "v.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryo_pick.formats.ome_zarr.CHUNK", 24)
        write_ome_zarr(path, volume, 20.0, levels=1)
    return path


def opened(path: Path) -> Tomogram:
    image = open_ome_zarr(path, run="TS_1")
    return Tomogram(image.array, SPACING, run="TS_1")


def _same(mine, theirs) -> None:
    assert len(mine) == len(theirs) > 30
    for name in ("positions", "stage1", "stage2", "refined"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), name)


@pytest.fixture(scope="module")
def in_memory(volume: np.ndarray, picker: Picker):
    """The same by the plain functions over whole arrays: heatmap, candidates, scores."""
    bundle = picker.bundle
    normal = Tomogram(normalize(volume, intensity_statistics(volume)), SPACING)
    heatmap, found = find_candidates(
        normal, picker.engines, bundle.types, picker.infer, picker.candidates
    )
    return score_candidates(
        found, normal.volume, heatmap.values, heatmap.stride, SPACING, normal.origin,
        picker.refiners, **bundle.refiner,
    )  # fmt: skip


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
def test_picks_from_chunks_are_those_from_memory(
    stored, picker, in_memory, memory, tmp_path, monkeypatch
):
    files = []

    class NotedFile(HeatmapFile):
        def __init__(self, *arguments: Any) -> None:
            files.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr("cryo_pick.pipeline.heatmaps.HeatmapFile", NotedFile)
    asked = replace(picker, infer=replace(picker.infer, memory=memory))
    with opened_within(opened(stored), memory) as (tomogram, left):
        assert isinstance(tomogram.volume, SpooledVolume) == (memory == "1MB")
        assert (left == memory) == (memory == "1MB")
    found, _ = pick_tomogram(opened(stored), asked, tmp_path)
    _same(found, in_memory)
    assert len(files) == (memory == "1MB")
    assert not list(tmp_path.iterdir())


def test_without_room_on_the_disk_chunks_are_decoded_where_they_are_needed(
    stored, picker, in_memory, tmp_path, monkeypatch, caplog
):
    def full(size: int, folder: Path | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cryo_pick.spooled.UnnamedFile", full)
    caplog.set_level(logging.INFO)
    with opened_within(opened(stored), "1MB", tmp_path) as (tomogram, _):
        assert isinstance(tomogram.volume, ZarrVolume)
    assert "No space left on device" in caplog.text
    asked = replace(picker, infer=replace(picker.infer, memory="1MB"))
    _same(pick_tomogram(opened(stored), asked, tmp_path)[0], in_memory)
    assert not list(tmp_path.iterdir())


def test_picks_from_an_mrc_are_those_from_memory(volume, picker, in_memory, tmp_path):
    write_mrc(tmp_path / "v.mrc", volume, 20.0)
    tomogram = open_mrc(tmp_path / "v.mrc")
    with opened_within(tomogram, "2GB") as (read, _):
        assert isinstance(read.volume, MappedVolume)
    found, _ = pick_tomogram(tomogram, picker)
    _same(found, in_memory)


def test_a_larger_volume_takes_no_more_memory(picker, tmp_path, monkeypatch):
    """Four times the depth: what numpy holds at its peak grows by far less than the volume."""
    monkeypatch.setattr("cryo_pick.formats.ome_zarr.CHUNK", 32)
    peaks = []
    for depth in (48, 192):
        shape = (depth, 96, 96)
        voxels = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
        write_ome_zarr(tmp_path / f"{depth}.zarr", voxels, 20.0, levels=1)
        tomogram = opened(tmp_path / f"{depth}.zarr")
        asked = replace(picker, refiners=(), infer=replace(picker.infer, memory="1MB"))
        asked = replace(asked, candidates=replace(asked.candidates, threshold=0.9))
        tracemalloc.start()
        pick_tomogram(tomogram, asked, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    volume_grew = 4 * 96 * 96 * (192 - 48)
    assert peaks[1] - peaks[0] < 0.1 * volume_grew


def test_a_chunk_with_nan_is_named_with_its_run(stored, picker, tmp_path):
    import shutil

    copy = tmp_path / "v.zarr"
    shutil.copytree(stored, copy)
    zarr.open_array(str(copy / "0"), mode="r+")[30, 40, 50] = np.nan
    asked = replace(picker, infer=replace(picker.infer, memory="1MB"))
    with pytest.raises(InputError, match=r"run 'TS_1': 1 of \d+ voxels are NaN"):
        pick_tomogram(opened(copy), asked)


def test_large_chunks_beside_little_memory_are_warned_of(tmp_path, caplog):
    write_ome_zarr(tmp_path / "v.zarr", np.zeros((64, 64, 64), np.float32), 20.0, levels=1)
    with opened_within(opened(tmp_path / "v.zarr"), "1MB"):
        pass
    assert "smaller chunks would not" in caplog.text

"""Disks, stores and memory that fail: the run fails by name, the folder stays whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cryo_pick import files
from cryo_pick.cli import main
from cryo_pick.config import compose
from cryo_pick.errors import OutOfMemory
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.ome_zarr import write_ome_zarr
from cryo_pick.pipeline import fallback, predict
from cryo_pick.pipeline.batch import predict_batch, prepare_batch
from tests.faults.conftest import done, leftovers, picks, words
from tests.faults.tiny import SETTINGS, SPACING

SECOND = "run001"


def _failed(out: Path) -> dict[str, str]:
    failed: dict[str, str] = json.loads((out / "summary.json").read_text())["failed"]
    return failed


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_a_full_disk_fails_the_run_and_leaves_no_half_file(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, real = tmp_path / "out", files._sync

    def full(path: Path) -> None:
        if path.parent.name == SECOND and path.suffix == ".npz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path)

    monkeypatch.setattr(files, "_sync", full)
    assert main(words(few, tiny_bundle, out)) == 4
    assert SECOND in _said(capsys)
    assert "No space left" in _failed(out)[SECOND]
    assert (len(done(out)), leftovers(out)) == (2, [])
    monkeypatch.undo()
    assert main(words(few, tiny_bundle, out)) == 0
    assert len(done(out)) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "cryo-pick-test", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("a small file system can't be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up(
    few: Path, tiny_bundle: Path, small_disk: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, filler, real = small_disk / "out", small_disk / "filler", predict.pick_tomogram

    def fill(tomogram, picker, *rest):
        if tomogram.run == SECOND and not filler.exists():
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(b"x" * 512):
                    pass
        return real(tomogram, picker, *rest)

    monkeypatch.setattr(predict, "pick_tomogram", fill)
    assert main(words(few, tiny_bundle, out)) == 2
    said = _said(capsys)
    for run in (SECOND, "run002"):
        assert f"{run}: OSError: [Errno 28] No space left on device" in said
    assert "can't be written (No space left on device)" in said  # the picks, or the summary
    assert ([p.parent.name for p in done(out)], leftovers(out)) == (["run000"], [])
    filler.unlink()
    filler.touch()
    assert main(words(few, tiny_bundle, out)) == 0
    assert len(done(out)) == 3


def test_no_room_for_the_picks_keeps_the_old_ones(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, real = tmp_path / "out", files._sync
    assert main(words(few, tiny_bundle, out)) == 0
    before = picks(out)

    def full(path: Path) -> None:
        if path.suffix == ".csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path)

    monkeypatch.setattr(files, "_sync", full)
    assert main(words(few, tiny_bundle, out, "--overwrite")) == 2
    assert "can't be written" in _said(capsys)
    assert (picks(out), leftovers(out)) == (before, [])


def test_a_truncated_file_a_broken_chunk_and_a_read_error_are_named(
    few: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = np.random.default_rng(9).normal(size=(16, 40, 40)).astype(np.float32)
    for name in ("short", "unreadable"):
        write_ome_zarr(few / f"{name}.zarr", volume, SPACING)
    chunks = {
        name: next(
            p
            for p in sorted((few / f"{name}.zarr" / "0").rglob("*"))
            if p.is_file() and not p.name.startswith(".") and p.suffix != ".json"
        )
        for name in ("short", "unreadable")
    }
    chunks["short"].write_bytes(chunks["short"].read_bytes()[:-100])
    chunks["unreadable"].unlink()
    chunks["unreadable"].mkdir()
    (chunks["unreadable"] / "x").write_bytes(b"x")
    file = few / f"{SECOND}.mrc"
    file.write_bytes(file.read_bytes()[:-1000])
    out = tmp_path / "out"
    assert main(words(few, tiny_bundle, out)) == 4
    said = _said(capsys)
    assert set(_failed(out)) == {SECOND, "short", "unreadable"}
    assert all(name in said for name in _failed(out))
    assert (len(done(out)), leftovers(out)) == (2, [])
    assert (out / "runs" / SECOND / "failed.json").is_file()


def test_a_store_that_vanishes_fails_its_run_only(
    few: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    write_ome_zarr(few / "gone.zarr", np.zeros((16, 16, 16), np.float32), SPACING)
    out, config = tmp_path / "out", compose(SETTINGS)
    batch = prepare_batch([str(few)], tiny_bundle, config)
    shutil.rmtree(few / "gone.zarr")
    (few / f"{SECOND}.mrc").unlink()
    summary = predict_batch(batch, config, out, out / "picks.csv")
    assert set(summary["failed"]) == {"gone", SECOND}
    assert (len(done(out)), leftovers(out)) == (2, [])


def test_a_bug_in_one_run_does_not_stop_the_others(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = predict.pick_tomogram

    def broken(tomogram, picker, *rest):
        if tomogram.run == SECOND:
            raise KeyError("oops")
        return real(tomogram, picker, *rest)

    monkeypatch.setattr(predict, "pick_tomogram", broken)
    out = tmp_path / "out"
    assert main(words(few, tiny_bundle, out)) == 4
    assert "bug: KeyError" in _said(capsys)
    assert "in broken" in json.loads((out / "runs" / SECOND / "failed.json").read_text())["trace"]


def test_out_of_memory_takes_smaller_tiles_and_says_so(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, asked = predict.pick_tomogram, []

    def hungry(tomogram, picker, *rest):
        if tomogram.run == SECOND:
            asked.append(picker.infer.memory)
            if len(asked) < 3:
                raise MemoryError("Unable to allocate 9 GiB")
        return real(tomogram, picker, *rest)

    monkeypatch.setattr(predict, "pick_tomogram", hungry)
    out = tmp_path / "out"
    assert main(words(few, tiny_bundle, out)) == 0
    said = _said(capsys)
    assert asked == ["2GB", "1000000000B", "500000000B"]
    for share in (2, 4):
        assert f"trying again with tiles of 1/{share} of the memory" in said
    file = read_candidates(out / "runs" / SECOND / "candidates.npz")
    assert file.metadata["warnings"] == [
        "ran out of memory; done with tiles of 1/4 of the memory, so scores may differ a little"
    ]


def test_out_of_memory_on_a_gpu_ends_on_the_cpu_with_the_same_picks(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch
) -> None:
    assert main(words(few, tiny_bundle, tmp_path / "expected")) == 0
    real = predict.pick_tomogram

    def hungry(tomogram, picker, *rest):
        if picker.infer.accelerator != "cpu":
            raise OutOfMemory("a batch of 8 tiles doesn't fit on the GPU")
        return real(tomogram, picker, *rest)

    monkeypatch.setattr(predict, "pick_tomogram", hungry)
    monkeypatch.setattr(fallback, "on_gpu", lambda _: True)
    out = tmp_path / "out"
    assert main(words(few, tiny_bundle, out, "infer.accelerator=auto")) == 0
    assert picks(out) == picks(tmp_path / "expected")
    for path in done(out):
        assert "done with the CPU" in read_candidates(path).metadata["warnings"][0]


def test_out_of_memory_at_last_is_exit_code_5(
    few: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = predict.pick_tomogram

    def hungry(tomogram, picker, *rest):
        if tomogram.run == SECOND:
            raise OutOfMemory("no room on the GPU")
        return real(tomogram, picker, *rest)

    monkeypatch.setattr(predict, "pick_tomogram", hungry)
    out = tmp_path / "out"
    assert main(words(few, tiny_bundle, out)) == 5
    assert "give this run more memory" in _said(capsys)
    assert (len(done(out)), leftovers(out)) == (2, [])


@pytest.mark.parametrize("missing", ["inputs", "bundle", "weights"])
def test_nothing_is_written_where_nothing_can_be_done(
    missing: str, few: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    if missing == "weights":
        (bundle / "detector" / "fold0.safetensors").unlink()
    inputs = tmp_path / "nowhere" if missing == "inputs" else few
    model = tmp_path / "nowhere" if missing == "bundle" else bundle
    assert main(words(inputs, model, tmp_path / "picks.csv")) == 3
    assert not (tmp_path / "picks.predict").exists()

"""What `predict` finds behind the paths that it is given."""

import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.mrc import write_mrc
from cryo_pick.settings import DataSettings


@pytest.fixture
def folder(tmp_path: Path, volume: np.ndarray, make_zarr: Any) -> Path:
    """Two MRC files and an OME-Zarr."""
    root = tmp_path / "volumes"
    root.mkdir()
    write_mrc(root / "TS_a.mrc", volume, 10.0)
    write_mrc(root / "TS_b.REC", volume, 10.0, (1.0, 2.0, 3.0))
    make_zarr(root / "TS_c.zarr", volume)
    (root / "notes.txt").write_text("x")
    return root


@pytest.mark.parametrize("name", ["", "copick_config.json"])
def test_a_copick_project(project_folder: Path, volume: np.ndarray, name: str) -> None:
    found = find_inputs([project_folder / name], DataSettings(origin_voxels=-0.5))
    assert [f.run for f in found] == ["TS_1", "TS_2"]
    tomogram = found[1].open()
    np.testing.assert_array_equal(tomogram.volume[:], volume)
    assert (tomogram.run, tomogram.tomo_type) == ("TS_2", "denoised")
    assert tomogram.origin[0] == pytest.approx(-5.006)
    assert found[0].path == str(project_folder / "copick_config.json")


def test_a_folder_of_volumes(folder: Path, volume: np.ndarray) -> None:
    found = find_inputs(folder, DataSettings())
    assert [f.run for f in found] == ["TS_a", "TS_b", "TS_c"]
    for item in found:
        tomogram = item.open()
        np.testing.assert_array_equal(tomogram.volume[:], volume)
        assert tomogram.run == item.run
    assert found[1].open().origin == (1, 2, 3)
    assert found[2].open().voxel_spacing == (10.012, 10.012, 10.012)


@pytest.mark.parametrize("name", ["TS_a.mrc", "TS_b.REC", "TS_c.zarr"])
def test_a_single_volume(folder: Path, name: str) -> None:
    found = find_inputs(folder / name, DataSettings(origin=[7, 8, 9]))
    assert [f.run for f in found] == [name[:4]]
    assert found[0].open().origin == (7, 8, 9)


def test_an_unknown_spacing_may_be_given(tmp_path: Path, volume: np.ndarray) -> None:
    write_mrc(tmp_path / "v.mrc", volume, 1.0)
    (item,) = find_inputs(tmp_path / "v.mrc", DataSettings())
    with pytest.raises(InputError, match=r"give it with data.voxel_spacing"):
        item.open()
    (item,) = find_inputs(tmp_path / "v.mrc", DataSettings(voxel_spacing=7.5))
    assert item.open().voxel_spacing == (7.5, 7.5, 7.5)


def test_names_of_nested_endings(tmp_path: Path, volume: np.ndarray, make_zarr: Any) -> None:
    make_zarr(tmp_path / "TS.1.ome.zarr", volume)
    assert [f.run for f in find_inputs(tmp_path, DataSettings())] == ["TS.1"]


def test_runs_are_chosen_over_all_paths(folder: Path, project_folder: Path) -> None:
    def runs(**fields: Any) -> list[str]:
        return [f.run for f in find_inputs([project_folder, folder], DataSettings(**fields))]

    assert runs() == ["TS_1", "TS_2", "TS_a", "TS_b", "TS_c"]
    assert runs(runs=["TS_b", "TS_1"]) == ["TS_1", "TS_b"]
    assert runs(runs=["TS_b"]) == ["TS_b"]
    assert runs(exclude_runs=["TS_1", "TS_b"]) == ["TS_2", "TS_a", "TS_c"]
    with pytest.raises(InputError, match=r"data.runs: no run 'TS_x'; closest: TS_"):
        runs(runs=["TS_x"])
    with pytest.raises(InputError, match=r"no run is left by data.runs"):
        runs(runs=["TS_b"], exclude_runs=["TS_b"])


def test_nothing_is_opened_before_it_is_asked_for(folder: Path) -> None:
    (folder / "TS_a.mrc").write_bytes(b"")
    (folder / "TS_c.zarr/0/.zarray").write_bytes(b"")
    found = find_inputs(folder, DataSettings())
    assert len(found) == 3
    with pytest.raises(InputError, match=r"TS_a\.mrc: no MRC file"):
        found[0].open()
    assert found[1].open().shape == (8, 12, 20)
    with pytest.raises(InputError, match=r"run 'TS_c': .*TS_c\.zarr: broken zarr metadata"):
        found[2].open()


def test_a_name_that_occurs_twice(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "again")
    message = r"(?s)each run needs its own name.*3 problems.*TS_a is both .*volumes.* and .*again"
    with pytest.raises(InputError, match=message):
        find_inputs([folder, tmp_path / "again"], DataSettings())
    shutil.copy(folder / "TS_a.mrc", folder / "TS_a.map")
    with pytest.raises(InputError, match=r"TS_a\.map and TS_a\.mrc are the same run"):
        find_inputs(folder, DataSettings())


def test_a_name_that_is_no_safe_one(tmp_path: Path, volume: np.ndarray) -> None:
    write_mrc(tmp_path / ".x.mrc", volume, 10.0)
    with pytest.raises(InputError, match=r"run '\.x' can't be used as a name"):
        find_inputs(tmp_path / ".x.mrc", DataSettings())


def test_nothing_usable(tmp_path: Path) -> None:
    looked = r"a copick config .*an OME-Zarr \(\.zarr\), or MRC files \(\.mrc, \.rec, \.map\)"
    with pytest.raises(InputError, match=f"nothing to predict in this folder; looked for {looked}"):
        find_inputs(tmp_path, DataSettings())
    with pytest.raises(InputError, match=f"nowhere: no such file or folder; expected {looked}"):
        find_inputs(tmp_path / "nowhere", DataSettings())
    (tmp_path / "x.tif").write_text("x")
    with pytest.raises(InputError, match=f"can't be used as input; expected {looked}"):
        find_inputs(tmp_path / "x.tif", DataSettings())
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match=r"x\.json: no copick config"):
        find_inputs(tmp_path / "x.json", DataSettings())


def test_remote_volumes(folder: Path, volume: np.ndarray) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/inputs", recursive=True)
    try:
        found = find_inputs("memory://inputs/TS_c.zarr", DataSettings())
        np.testing.assert_array_equal(found[0].open().volume[:], volume)
        (mrc,) = find_inputs("memory://inputs/TS_a.mrc", DataSettings())
        with pytest.raises(InputError, match="an MRC file is read from a local disk only"):
            mrc.open()
    finally:
        memory.rm("/inputs", recursive=True)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats.inputs import InputRun, find_inputs
from cryo_pick.formats.mrc import write_mrc
from cryo_pick.formats.ome_zarr import write_ome_zarr
from cryo_pick.pipeline.watch import look_of, new_runs
from cryo_pick.settings import DataSettings

VOLUME = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)


def _scripted(folder: Path, steps: list[Callable[[], object]]) -> Callable[[], list[InputRun]]:
    """Looks into a folder; before each look the next step happens."""
    left = iter(steps)

    def find() -> list[InputRun]:
        next(left, lambda: None)()
        return find_inputs([folder], DataSettings())

    return find


def test_each_run_comes_once_and_only_when_it_stopped_growing(tmp_path: Path) -> None:
    write_mrc(tmp_path / "whole.mrc", VOLUME, 10.0)
    content = (tmp_path / "whole.mrc").read_bytes()
    late = tmp_path / "late.mrc"
    find = _scripted(
        tmp_path,
        [
            lambda: late.write_bytes(content[:1100]),
            lambda: late.write_bytes(content[:2000]),
            lambda: late.write_bytes(content),
            lambda: write_ome_zarr(tmp_path / "last.zarr", VOLUME, 10.0),
        ],
    )
    rounds = [[s.run for s in r] for r in new_runs(find, look_every_s=0.01, until_idle_s=0.5)]
    assert rounds == [["whole"], ["late"], ["last"]]


def test_a_file_that_stays_broken_is_given_out_to_fail_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.mrc").write_bytes(b"x" * 2000)
    find = _scripted(tmp_path, [])
    assert [[s.run for s in r] for r in new_runs(find, look_every_s=0.01, until_idle_s=0.2)] == [
        ["broken"]
    ]


def test_an_empty_folder_is_said_once_and_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looks = []

    def find() -> list[InputRun]:
        looks.append(1)
        raise InputError("nothing to predict in this folder")

    assert list(new_runs(find, look_every_s=0.01, until_idle_s=0.1)) == []
    assert len(looks) > 3
    assert caplog.text.count("nothing to predict") == 1


def test_a_look_sees_any_change_of_a_store(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a.zarr", VOLUME, 10.0)
    (source,) = find_inputs([tmp_path / "a.zarr"], DataSettings())
    looks = [look_of(source), look_of(source)]
    file = next(p for p in sorted((tmp_path / "a.zarr" / "0").rglob("*")) if p.is_file())
    file.write_bytes(file.read_bytes() + b" ")
    looks.append(look_of(source))
    assert looks[0] == looks[1] != looks[2]

"""`cryo-pick inspect` on a project with particles at known places."""

import json
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.formats.copick import create_project
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks

TYPES = ParticleTypes((ParticleType("ball", 1, 50.0), ParticleType("drop", 2, 60.0)))
SHAPE, SPACING = (24, 56, 56), 10.0


def make_project(folder: Path, shift: float = 0.0) -> Path:
    """Two runs of dark balls in noise; picks lie `shift` Å beside them on every axis."""
    project = create_project(folder, "balls", TYPES)
    for seed, run in enumerate(("R1", "R2")):
        rng = np.random.default_rng(seed)
        size = np.array(SHAPE) * SPACING
        positions = rng.uniform(50, size - 60, (24, 3))
        grid = np.stack(np.indices(SHAPE), axis=-1) * SPACING
        volume = rng.normal(0, 0.2, SHAPE)
        for position in positions:
            volume -= np.exp(-np.square(grid - position).sum(-1) / (2 * 22.0**2))
        project.add_tomogram(run, volume.astype(np.float32), SPACING, "denoised")
        picks = Picks(positions + shift, np.arange(24) % 2)
        project.write_picks(run, picks, "curation", "0")
    return folder


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("shifted") / "P", 5.0)


def read(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:
    code = main(["inspect", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_shift_is_found_and_its_cure_works(
    shifted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = read(capsys, str(shifted))
    assert code == 3
    offset = found["alignment"]["offset"]["all"]
    assert np.abs(np.array(offset["mean"]) + 5.0).max() < 1.5
    cures = [p["do"] for p in found["problems"] if "density lies" in p["what"]]
    assert cures == ["use data.origin_voxels=0.5"]
    code, cured = read(capsys, str(shifted), cures[0].removeprefix("use "))
    assert not [p for p in cured["problems"] if "density" in p["what"]]


def test_the_tables_say_what_is_there(shifted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(shifted), "data.runs=[R1]"]) == 3
    out = capsys.readouterr().out
    assert "24 56 56" in out
    assert "denoised" in out
    assert "R2" not in out
    assert "half a voxel on every axis" in out
    assert "\x1b" not in out  # no colours when piped


def test_what_cannot_be_read_stops_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_project(tmp_path / "P")
    level = folder / "static/ExperimentRuns/R2/VoxelSpacing10.000/denoised.zarr/0"
    chunk = next(p for p in sorted(level.rglob("[0-9]*")) if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:20])
    (folder / "overlay/ExperimentRuns/R1/Picks/someone_1_nosuch.json").write_text("{}")
    code, found = read(capsys, str(folder))
    assert code == 3
    wrong = {p["where"]: p["what"] for p in found["problems"]}
    assert "nosuch" in wrong["R1"]
    assert "denoised.zarr" in wrong["R2"]
    assert found["runs"][1]["picks"] == {"ball": 12, "drop": 12}


def test_several_tomograms_are_a_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = create_project(tmp_path / "P", "two", TYPES)
    noise = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    for spacing, kind in ((10.0, "wbp"), (10.0, "denoised"), (20.0, "wbp")):
        project.add_tomogram("R1", noise, spacing, kind)
    code, found = read(capsys, str(tmp_path / "P"))
    assert code == 0  # notices are no problem
    assert {p["do"] for p in found["problems"] if p["where"] == "project"} >= {
        "choose one by data.tomo_type=NAME",
        "choose one by data.voxel_spacing=Å",
    }
    _, chosen = read(capsys, str(tmp_path / "P"), "data.tomo_type=wbp", "data.voxel_spacing=20")
    assert chosen["runs"][0]["voxel_spacing"] == [20.0] * 3


def test_no_project_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing")]) == 3
    err = capsys.readouterr().err
    assert "nothing" in err
    assert err.count("\n") == 1

from pathlib import Path

import pytest

from cryo_pick.command import Command, main
from cryo_pick.formats.copick import open_project

COMMANDS = [Command("simulate", "simulated tomograms", "cryo_pick.commands.simulate")]
SMALL = ["--size", "16", "32", "40", "--voxel-spacing", "30", "--tilt", "40", "10"]


def simulate(*words: object) -> int:
    return main("cryo-pick", COMMANDS, ["simulate", *map(str, words)])


def test_it_prints_the_table_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a project"
    assert simulate(out, "--runs", 2, "--seed", 5, "--types", "wbp", *SMALL) == 0
    printed, log = capsys.readouterr()
    assert "apo-ferritin" in printed
    assert "in 2 runs" in printed
    assert f"next: cryo-pick train '{out}' --out '{out}-model'" in printed
    assert "SIM-0001" in log
    project = open_project(out)
    assert project.runs == ["SIM-0000", "SIM-0001"]
    assert project.tomo_types("SIM-0000", 30.0) == ["wbp"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", 8, 64, 64], "--size: expected 16 voxels or more each, but got 8 64 64"),
        (["--tilt", 95, 3], "largest tilt between 0 and 90"),
        (["--runs", 0], "`n_runs` to be 1 or more"),
        (["--noise", -1], "`noise` to be 0.0 or more, but got -1.0"),
        (["--workers", 0], "--workers: expected 1 or more"),
        (["--types", "sirt"], "invalid choice: 'sirt'"),
    ],
)
def test_wrong_flags_end_with_2_and_write_nothing(
    flags: list[object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path / "P", *flags) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_ends_with_2_and_broken_densities_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert simulate(tmp_path, *SMALL) == 2
    assert "is not empty" in capsys.readouterr().err
    assert simulate(tmp_path / "P", "--densities", tmp_path, *SMALL) == 3
    assert "ribosome: no file called ribosome" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

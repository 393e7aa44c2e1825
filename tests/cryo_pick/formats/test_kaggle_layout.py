"""The CZII challenge's layout works as it is downloaded: no config, its names, its folders."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.errors import InputError
from cryo_pick.formats.copick import OWN_USER, open_project
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.picks_csv import read_csv
from cryo_pick.objects import CZII_TYPES
from cryo_pick.settings import DataSettings
from cryo_pick.simulate.project import SimulationPlan, write_simulation
from cryo_pick.simulate.run import SimulateSettings

RUNS = {"SIM-0000": "TS_5_4", "SIM-0001": "TS_69_2"}
SPACING = 10.012444


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated project, and the same files laid out as the challenge has them."""
    root = tmp_path_factory.mktemp("kaggle")
    settings = SimulateSettings(voxel_spacing=SPACING, crowding=40.0)
    write_simulation(root / "project", SimulationPlan(2, (36, 72, 72), 3, settings))
    for run, name in RUNS.items():
        static = root / "project/static/ExperimentRuns" / run
        (spacing,) = static.iterdir()
        target = root / "czii/train/static/ExperimentRuns" / name / "VoxelSpacing10.000"
        shutil.copytree(spacing, target)
        picks = root / "project/overlay/ExperimentRuns" / run / "Picks"
        folder = root / "czii/train/overlay/ExperimentRuns" / name / "Picks"
        folder.mkdir(parents=True)
        for kind in CZII_TYPES:
            shutil.copy(picks / f"curation_0_{kind.name}.json", folder / f"{kind.name}.json")
    return root / "project", root / "czii"


def test_it_opens_with_the_challenge_s_objects(made: tuple[Path, Path]) -> None:
    original, project = open_project(made[0]), open_project(made[1] / "train")
    assert project.types == CZII_TYPES
    assert project.runs == ["TS_5_4", "TS_69_2"]
    for run, name in RUNS.items():
        tomogram = project.open_tomogram(name, DataSettings())
        assert tomogram.voxel_spacing == pytest.approx((SPACING,) * 3)
        expected = original.open_tomogram(run, DataSettings())
        np.testing.assert_array_equal(tomogram.array(), expected.array())
        truth, found = original.read_picks(run), project.read_picks(name)
        assert len(found) > 3
        np.testing.assert_array_equal(found.positions, truth.positions)
        np.testing.assert_array_equal(found.classes, truth.classes)


def test_its_spacing_and_type_choose_the_tomogram(made: tuple[Path, Path]) -> None:
    runs = find_inputs(made[1] / "train", DataSettings(voxel_spacing=10.0, tomo_type="denoised"))
    assert [item.run for item in runs] == ["TS_5_4", "TS_69_2"]
    assert runs[0].open().shape == (36, 72, 72)


def test_a_submission_of_its_truth_has_no_fault(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, out = str(made[1] / "train"), tmp_path / "submission.csv"
    assert main(["export", train, "--to", "kaggle", "--out", str(out), "-q"]) == 0
    assert out.read_text().splitlines()[0] == "id,experiment,particle_type,x,y,z"
    capsys.readouterr()
    assert main(["evaluate", str(out), train, "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)["per_class"].values()
    assert [(c["fp"], c["fn"]) for c in found] == [(0, 0)] * 6
    assert sum(c["tp"] for c in found) > 6


def test_picks_go_into_its_overlay(made: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "train"
    shutil.copytree(made[1] / "train", copy)
    project = open_project(copy)
    picks = project.read_picks("TS_5_4")
    project.write_picks("TS_5_4", picks, OWN_USER, "0")
    assert (copy / "overlay/ExperimentRuns/TS_5_4/Picks/cryo-pick_0_ribosome.json").is_file()
    assert len(project.read_picks("TS_5_4", OWN_USER)) == len(picks)
    assert len(project.read_picks("TS_5_4")) == len(picks), "its truth is what it was"
    with pytest.raises(InputError, match="there is no config to write thresholds into"):
        project.write_thresholds({"ribosome": 0.5})


def test_the_test_part_has_no_overlay(made: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(made[1] / "train/static", tmp_path / "test/static")
    project = open_project(tmp_path / "test")
    assert project.runs == ["TS_5_4", "TS_69_2"]
    assert len(project.read_picks("TS_5_4")) == 0


def test_the_zip_is_imported_as_it_is(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "czii.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(made[1].rglob("*")):
            opened.write(file, file.relative_to(made[1]))
    out = tmp_path / "data"
    assert main(["import", str(archive), "--from", "kaggle-zip", "--out", str(out), "-q"]) == 0
    assert f"project of 2 runs: {out / 'train'}" in capsys.readouterr().out
    there = open_project(out / "train").read_picks("TS_69_2")
    assert len(there) == len(open_project(made[1] / "train").read_picks("TS_69_2"))


def test_its_submission_is_read_as_picks(made: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "submission.csv"
    main(["export", str(made[1] / "train"), "--to", "kaggle", "--out", str(out), "-q"])
    picks = read_csv(out, CZII_TYPES)
    truth = open_project(made[1] / "train").read_picks("TS_5_4")
    np.testing.assert_allclose(picks["TS_5_4"].positions, truth.positions, atol=1e-4)

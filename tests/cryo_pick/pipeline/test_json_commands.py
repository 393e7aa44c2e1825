"""`--json` of the commands that make something: one line on stdout, as their files say it."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import detector.cli
import refiner.cli
from cryo_pick.cli import main
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.mrc import write_mrc
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.pipeline.bundle import read_bundle
from tests.cryo_pick.pipeline.conftest import SMOKE

RUNS = [f"SIM-000{i}" for i in range(4)]
SHORT = ["train.optimizer.steps=2", "refiner.optimizer.steps=1"]


class Run:
    """Runs a command with ``--json``; what it printed, which must be one object on one line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object, program: Any = main, code: int = 0) -> dict[str, Any]:
        self._capsys.readouterr()
        assert program([*map(str, words), "--json", "-q"]) == code
        (line,) = self._capsys.readouterr().out.splitlines()

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        found: dict[str, Any] = json.loads(line, parse_constant=refuse)
        return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_simulate(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "p"
    words = ["--runs", 2, "--size", 16, 32, 40, "--voxel-spacing", 30, "--tilt", 40, 10]
    found = run("simulate", out, *words, "--types", "wbp")
    assert found["project"] == str(out)
    project = open_project(out)
    types = project.types
    for name, told in found["runs"].items():
        counts = np.bincount(project.read_picks(name).classes, minlength=len(types))
        assert told["picks"] == dict(zip(types.names, counts.tolist(), strict=True))
    assert found["picks"] == {
        n: sum(told["picks"][n] for told in found["runs"].values()) for n in types.names
    }


def test_train_and_fit(bundle: Path, project: Path, tmp_path: Path, run: Run) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    found = run("train", project, "--out", copy, *SMOKE)
    assert found.pop("bundle") == str(copy)
    assert found.pop("report") == str(copy / "report.html")
    assert found == summary(copy)
    assert set(found["picks"]["two_stage"]) == set(RUNS)
    again = run("fit", copy)
    del found["seconds"], found["peak_memory_bytes"]
    assert again.pop("bundle") == str(copy)
    assert again.pop("report") == str(copy / "report.html")
    lowest = again.pop("ceiling")[0]
    assert set(lowest["per_class"]) == set(found["thresholds"]["one_stage"])
    assert 0 <= lowest["score"] <= lowest["score_repaired"] <= 1
    assert again == found


def test_a_dry_run_of_train_tells_folds_and_picks(project: Path, tmp_path: Path, run: Run) -> None:
    found = run("train", project, "--out", tmp_path / "out", "--dry-run", *SMOKE)
    opened = open_project(project)
    assert {n: sum(r["picks"].values()) for n, r in found["runs"].items()} == {
        n: len(opened.read_picks(n)) for n in RUNS
    }
    assert sorted(r["fold"] for r in found["runs"].values()) == [0, 0, 1, 1]
    assert found["seconds"] > 0


def test_predict(bundle: Path, project: Path, tmp_path: Path, run: Run) -> None:
    words = ["predict", project, "--model", bundle, "--out", tmp_path / "picks.csv"]
    words += ["infer.engine=torch", "data.runs=[SIM-0000]"]
    plan = run(*words, "--dry-run")
    assert {n: r["done"] for n, r in plan["runs"].items()} == {"SIM-0000": False}
    assert plan["runs"]["SIM-0000"]["shape"] == [40, 72, 80]
    found = run(*words)
    assert found.pop("file") == str(tmp_path / "picks.csv")
    assert found.pop("folder") == str(tmp_path / "picks.predict")
    assert found == summary(tmp_path / "picks.predict")
    picks, types = read_picks(tmp_path / "picks.csv", open_project(project).types)
    counted = np.bincount(picks["SIM-0000"].classes, minlength=len(types)).tolist()
    assert found["picks"] == dict(zip(types.names, counted, strict=True))
    assert run(*words, "--dry-run")["runs"]["SIM-0000"]["done"]


def test_failed_runs_are_told_and_the_exit_code_stays(
    bundle: Path, project: Path, tmp_path: Path, run: Run
) -> None:
    good = next((project / "static/ExperimentRuns/SIM-0000").rglob("*.zarr"))
    write_mrc(tmp_path / "flat.mrc", np.zeros((40, 72, 80), np.float32), (20.0,) * 3)
    words = ["predict", good, tmp_path / "flat.mrc", "--model", bundle, "infer.engine=torch"]
    found = run(*words, "--out", tmp_path / "out", code=4)
    assert list(found["failed"]) == ["flat"]
    assert "constant" in found["failed"]["flat"]
    assert len(found["runs"]) == 1


def test_the_steps_one_at_a_time(project: Path, tmp_path: Path, run: Run) -> None:
    one, two, three = (tmp_path / n for n in ("detector", "candidates", "refiner"))
    words = [f"data={project}", *SMOKE, *SHORT, "fold=0"]
    found = run("train", f"out={one}", *words, program=detector.cli.main)
    assert found == {"weights": str(one / "detector.safetensors"), **summary(one)}
    assert len(found["trained_on"]) == 2
    found = run("predict", f"model={one}", f"out={two}", *words, program=detector.cli.main)
    assert found == {"candidates": str(two / "oof"), **summary(two)}
    assert [p.stem for p in sorted((two / "oof").glob("*.npz"))] == sorted(found["runs"])
    words = [f"data={project}", *SMOKE, *SHORT, f"candidates={two}", f"out={three}"]
    planned = run("train", *words, "--dry-run", program=refiner.cli.main)
    assert set(planned["runs"]) == set(found["runs"])
    found = run("train", *words, program=refiner.cli.main)
    assert found == {"weights": str(three / "refiner.safetensors"), **summary(three)}
    mean = tmp_path / "mean"
    weights = one / "detector.safetensors"
    found = run("average", weights, weights, "--out", mean, program=detector.cli.main)
    assert found == {"weights": str(mean / "detector.safetensors")}


def test_ensemble(bundle: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "both"
    found = run("ensemble", bundle, bundle, "--out", out)
    assert found == {"bundle": str(out), **summary(out)}
    fits = read_bundle(out).fits
    assert found["f4"] == {stage: fit.f4 for stage, fit in fits.items()}


def test_tune(project: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("optuna", reason="extra sweep is not installed")
    space = [f"tune.space.{k}=null" for k in ("model", "loss", "target", "augment", "train")]
    words = ["tune", project, "--out", tmp_path, "--trials", 1, *SMOKE, *SHORT, *space]
    found = run(*words, "tune.space.seed=[1]")
    assert found == {"config": str(tmp_path / "best.yaml"), **summary(tmp_path)}
    assert [t["settings"] for t in found["trials"]] == [["seed=1"]]


def test_export_model(bundle: Path, project: Path, tmp_path: Path, run: Run) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    words = ["export-model", bundle, "--format", "openvino", "--out", tmp_path]
    found = run(*words)
    files = [str(tmp_path / f"detector-fold{i}.xml") for i in range(2)]
    assert found == {"files": files, "report": None, "parity": None}
    found = run(*words, "--check", project, *SMOKE, "data.runs=[SIM-0001]", "infer.precision=fp32")
    assert found["parity"] == json.loads((tmp_path / "parity.json").read_text())
    assert found["report"] == str(tmp_path / "parity.json")


def test_picks_out_and_in_again(project: Path, tmp_path: Path, run: Run) -> None:
    star, back = tmp_path / "w.star", tmp_path / "back.csv"
    words = ["export", project, "--to", "warp", "--tomograms", project, "--out", star]
    planned = run(*words, "--dry-run")
    assert planned["files"] == []
    assert planned["runs"]["SIM-0000"]["size"] == [40, 72, 80]
    assert not star.exists()
    found = run(*words)
    assert found == {**planned, "files": [str(star)]}
    opened = open_project(project)
    assert {n: r["picks"] for n, r in found["runs"].items()} == {
        n: len(opened.read_picks(n)) for n in RUNS
    }
    words = ["import", star, "--from", "warp", "--tomograms", project, "--out", back]
    again = run(*words)
    assert again["files"] == [str(back)]
    assert again["picks"] == found["picks"] == len(back.read_text().splitlines()) - 1


def test_volumes_out_and_in_again(project: Path, tmp_path: Path, run: Run) -> None:
    words = ["export", project, "--to", "mrc", "--out", tmp_path / "v", "data.runs=[SIM-0002]"]
    file = str(tmp_path / "v" / "SIM-0002.mrc")
    expected = {"files": [file], "runs": {"SIM-0002": {"file": file}}}
    assert run(*words, "--dry-run") == {**expected, "files": []}
    assert run(*words) == expected
    words = ["import", tmp_path / "v", "--from", "mrc", "--tomo-type", "wbp", "--objects", "czii"]
    found = run(*words, "--out", tmp_path / "new")
    assert found["runs"]["SIM-0002"]["source"] == file
    assert [Path(f).is_dir() for f in found["files"]] == [True]
    assert open_project(tmp_path / "new").runs == ["SIM-0002"]


def test_a_sweep_prints_an_object_a_run(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", f"data={project}", f"out={tmp_path}", *SMOKE, "--dry-run", "seed=1,2"]
    assert detector.cli.main([*words, "-m", "--json", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [set(json.loads(line)["runs"]) for line in lines] == 2 * [set(RUNS)]

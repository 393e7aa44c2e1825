"""The whole path on a tiny project: every file is there, and what it says holds together."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.errors import CryoPickError
from cryo_pick.files import temporary_name
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.copick import open_project
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.picker import plan_picker
from cryo_pick.pipeline.results import read_config
from cryo_pick.pipeline.train import predict_fold, score_fold
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.pipeline.whole import open_training_data
from detector.settings import CandidatesSettings, InferSettings
from tests.cryo_pick.pipeline.conftest import SMOKE


def _predict(project: Path, bundle: Path, out: Path, *more: str) -> int:
    words = ["predict", str(project), "--model", str(bundle), "--out", str(out), *more]
    return main([*words, *SMOKE])


def test_training_leaves_a_whole_bundle(bundle: Path) -> None:
    names = {p.name for p in bundle.iterdir()}
    assert {"bundle.json", "model-card.md", "report.html", "config.yaml"} <= names
    assert {"environment.json", "run.log", "summary.json", "detector", "refiner", "oof"} <= names
    assert len(list((bundle / "detector").glob("*.safetensors"))) == 2
    assert len(list((bundle / "refiner").glob("*.safetensors"))) == 2
    read = read_bundle(bundle)
    assert read.types.names[0] == "apo-ferritin"
    assert set(read.fits) == {"one_stage", "two_stage"}
    summary = json.loads((bundle / "summary.json").read_text())
    assert 0 <= summary["f4"]["two_stage"]["nested"] <= 1.1


def test_each_run_was_scored_by_members_that_never_saw_it(bundle: Path, project: Path) -> None:
    read = read_bundle(bundle)
    assert sorted(read.folds) == open_project(project).runs
    for run in read.folds:
        file = read_candidates(bundle / "oof" / f"{run}.npz")
        assert file.metadata["weights"] == f"fold{read.folds[run]}"
        assert file.candidates.stage2 is not None
    import yaml

    for stage in ("detector", "refiner"):
        for fold in (0, 1):
            spec = yaml.safe_load((bundle / stage / f"fold{fold}.yaml").read_text())
            assert sorted(spec["trained_on"]) == sorted(
                r for r, f in read.folds.items() if f != fold
            )


def test_a_leaking_detector_is_refused(bundle: Path) -> None:
    config = read_config(bundle)
    data, folds = open_training_data(config)
    seen, folder = data.fold(folds, 0, inside=False), TrainFolder(bundle)
    with pytest.raises(CryoPickError, match="was trained on"):
        predict_fold(seen, data.types, folder.detector(0), config, folder)


def test_a_leaking_refiner_is_refused(bundle: Path) -> None:
    config = read_config(bundle)
    data, folds = open_training_data(config)
    seen, folder = data.fold(folds, 0, inside=False), TrainFolder(bundle)
    with pytest.raises(CryoPickError, match="was trained on"):
        score_fold(seen, folder.refiner(0), config, folder)


def test_training_again_skips_what_is_there(bundle: Path, project: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.safetensors")}
    assert main(["train", str(project), "--out", str(copy), *SMOKE]) == 0
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*.safetensors")} == before


def test_training_with_other_settings_into_the_same_folder_is_refused(
    bundle: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    words = ["train", str(project), "--out", str(copy), *SMOKE, "train.optimizer.steps=5"]
    assert main(words) == 2
    assert "other settings or data" in capsys.readouterr().err


def test_training_on_edited_picks_into_the_same_folder_is_refused(
    bundle: Path, own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    words = ["train", str(own_project), "--out", str(copy), *SMOKE]
    assert main(words) == 0  # a copy of the project is the same data
    path = next((own_project / "overlay").rglob("*_ribosome.json"))
    values = json.loads(path.read_text())
    values["points"] = values["points"][:-1]
    path.write_text(json.dumps(values))
    assert main(words) == 2
    assert "other settings or data" in capsys.readouterr().err


def test_fit_again_gives_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    (copy / "bundle.json").unlink()
    assert main(["fit", str(copy)]) == 0  # as trained: experiment=smoke has its own bootstrap
    before = (bundle / "bundle.json").read_text()
    assert (copy / "bundle.json").read_text() == before
    assert main(["fit", str(copy), "fit.bootstrap=30"]) == 0
    assert (copy / "bundle.json").read_text() != before


def test_predict_writes_picks_that_the_candidates_give_again(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "picks.csv"
    assert _predict(project, bundle, out) == 0
    again = tmp_path / "again.csv"
    assert main(["threshold", str(tmp_path / "picks.predict"), "--out", str(again)]) == 0
    assert again.read_text() == out.read_text()
    with out.open() as file:
        assert next(csv.reader(file)) == [
            "id",
            "experiment",
            "particle_type",
            "x",
            "y",
            "z",
            "score",
        ]


def test_threshold_zero_for_a_class_gives_all_its_candidates(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert _predict(project, bundle, out, "--one-stage") == 0
    counts = {}
    for value in (0.0, 1.0):
        file = tmp_path / f"cut{value}.csv"
        words = ["threshold", str(out), "--out", str(file), "--set", f"ribosome={value}"]
        assert main(words) == 0
        counts[value] = file.read_text().count(",ribosome,")
    assert counts[0.0] > counts[1.0] == 0


def test_predicting_again_reads_what_is_there(bundle: Path, project: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _predict(project, bundle, out) == 0
    first = (out / "picks.csv").read_text()
    files = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/candidates.npz")}
    assert len(files) == 4
    half_written = temporary_name(next(iter(files)))  # by a worker that was killed
    half_written.write_bytes(b"PK")
    assert _predict(project, bundle, out) == 0
    assert not half_written.exists()
    assert {p: p.stat().st_mtime_ns for p in files} == files
    assert (out / "picks.csv").read_text() == first
    assert _predict(project, bundle, out, "--overwrite") == 0
    assert all(p.stat().st_mtime_ns != t for p, t in files.items())
    assert (out / "picks.csv").read_text() == first


def test_one_stage_and_two_stage_results_are_not_mixed_up(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert _predict(project, bundle, out, "--one-stage") == 0
    one = read_candidates(next(iter(sorted(out.glob("runs/*/candidates.npz")))))
    assert one.candidates.stage2 is None
    assert _predict(project, bundle, out, "--two-stage") == 0
    two = read_candidates(next(iter(sorted(out.glob("runs/*/candidates.npz")))))
    assert two.candidates.stage2 is not None
    np.testing.assert_array_equal(one.candidates.stage1, two.candidates.stage1)


def test_picks_go_into_the_project_and_are_not_truth(
    bundle: Path, own_project: Path, tmp_path: Path
) -> None:
    opened = open_project(own_project)
    run = opened.runs[0]
    before = len(opened.read_picks(run))
    assert _predict(own_project, bundle, tmp_path / "out", "--copick") == 0
    assert len(open_project(own_project).read_picks(run)) == before
    assert list((own_project / "overlay").rglob("cryo-pick_0_*.json"))


def test_star_holds_the_same_picks_as_csv(bundle: Path, project: Path, tmp_path: Path) -> None:
    from cryo_pick.formats.picks_file import read_picks

    types = read_bundle(bundle).types
    assert _predict(project, bundle, tmp_path / "a.star") == 0
    star, _ = read_picks(tmp_path / "a.star", types)
    table, _ = read_picks(tmp_path / "a.predict", types)
    for run, picks in table.items():
        np.testing.assert_allclose(star[run].positions, picks.positions, atol=1e-3)
        np.testing.assert_array_equal(star[run].classes, picks.classes)


def test_stages_one_at_a_time_give_what_train_gives(
    bundle: Path, project: Path, tmp_path: Path
) -> None:
    from cryo_pick.weights import load_network
    from detector.cli import main as detector
    from refiner.cli import main as refiner

    for fold in (0, 1):
        words = ["train", f"data={project}", f"fold={fold}", f"out={tmp_path / f'd{fold}'}", *SMOKE]
        assert detector(words) == 0
        words = ["predict", f"data={project}", f"model={tmp_path / f'd{fold}'}", f"fold={fold}"]
        assert detector([*words, f"out={tmp_path / 'candidates'}", *SMOKE]) == 0
    words = ["train", f"data={project}", f"candidates={tmp_path / 'candidates'}", "fold=0"]
    assert refiner([*words, f"out={tmp_path / 'r0'}", *SMOKE]) == 0
    for mine, theirs, package in (
        (tmp_path / "d0" / "detector", bundle / "detector" / "fold0", "detector.networks"),
        (tmp_path / "r0" / "refiner", bundle / "refiner" / "fold0", "refiner.networks"),
    ):
        a, b = (load_network(p, package)[0].state_dict() for p in (mine, theirs))
        for name, value in a.items():
            np.testing.assert_array_equal(value.numpy(), b[name].numpy())


def test_dry_runs_write_previews_at_most(bundle: Path, project: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["train", str(project), "--out", str(out), "--dry-run", *SMOKE]) == 0
    assert [p.name for p in out.rglob("*")] == ["previews", "targets.png"]
    assert _predict(project, bundle, tmp_path / "picks", "--dry-run") == 0
    assert not (tmp_path / "picks").exists()


def test_tiles_are_as_deep_as_when_the_bundle_was_fitted(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    values = json.loads((copy / "bundle.json").read_text())
    values["infer"]["depth"] = 32
    (copy / "bundle.json").write_text(json.dumps(values))
    candidates = CandidatesSettings()
    assert plan_picker(copy, None, InferSettings(), candidates).infer.depth == 32
    assert plan_picker(copy, None, InferSettings(depth=64), candidates).infer.depth == 64
    del values["infer"]["depth"]  # as bundles were before
    (copy / "bundle.json").write_text(json.dumps(values))
    assert plan_picker(copy, None, InferSettings(), candidates).infer.depth is None


def test_tiles_are_as_wide_as_when_the_bundle_was_fitted(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    values = json.loads((copy / "bundle.json").read_text())
    values["infer"] |= {"tile": [16, 64, 64], "overlap": [8, 16, 16]}
    (copy / "bundle.json").write_text(json.dumps(values))

    def planned(**asked: Any) -> tuple[list[int] | None, list[int] | None]:
        infer = plan_picker(copy, None, InferSettings(**asked), CandidatesSettings()).infer
        return infer.tile, infer.overlap

    assert planned() == ([16, 64, 64], [8, 16, 16])
    assert planned(tile=[32, 32, 32]) == ([32, 32, 32], None)  # whose overlap it would be too large
    assert planned(overlap=[4, 4, 4]) == ([16, 64, 64], [4, 4, 4])
    assert planned(depth=32) == (None, None)  # else it would say nothing
    del values["infer"]["tile"], values["infer"]["overlap"]  # as bundles were before
    (copy / "bundle.json").write_text(json.dumps(values))
    assert planned() == (None, None)

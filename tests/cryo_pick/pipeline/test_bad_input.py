"""Bad input gets one clear message, the right exit code, and leaves nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from cryo_pick.cli import main
from tests.cryo_pick.pipeline.conftest import SMOKE

RUN = "SIM-0001"


def _zarr(project: Path) -> Path:
    return next((project / "static" / "ExperimentRuns" / RUN).rglob("*.zarr"))


def _chunk(project: Path) -> Path:
    files = [
        p for p in (_zarr(project) / "0").rglob("*") if p.is_file() and not p.name.startswith(".")
    ]
    return sorted(files)[0]


def _picks(project: Path, name: str) -> list[Path]:
    return sorted((project / "overlay").rglob(f"*_{name}.json"))


def _train(project: Path, out: Path, *more: str) -> int:
    return main(["train", str(project), "--out", str(out), *SMOKE, *more])


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_missing_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(tmp_path / "nowhere", tmp_path / "out") == 3
    assert "nowhere" in _said(capsys)
    assert not (tmp_path / "out" / "bundle.json").exists()


def test_missing_chunk(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chunk(own_project).unlink()
    assert _train(own_project, tmp_path / "out") == 3
    assert RUN in _said(capsys)


def test_truncated_chunk(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = _chunk(own_project)
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])
    assert _train(own_project, tmp_path / "out") == 3
    assert RUN in _said(capsys)


def test_two_bad_runs_are_both_named(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in ("SIM-0001", "SIM-0002"):
        folder = next((own_project / "static" / "ExperimentRuns" / run).rglob("*.zarr")) / "0"
        next(p for p in sorted(folder.rglob("*")) if p.is_file() and p.name[0] != ".").unlink()
    assert _train(own_project, tmp_path / "out") == 3
    said = _said(capsys)
    assert "SIM-0001" in said
    assert "SIM-0002" in said


def test_nan_in_a_volume(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    array = zarr.open_array(str(_zarr(own_project) / "0"), mode="r+")
    array[3, 4, 5] = np.nan
    assert _train(own_project, tmp_path / "out") == 3
    said = _said(capsys)
    assert RUN in said
    assert "NaN" in said


def test_picks_of_an_unknown_class(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _picks(own_project, "ribosome")[0]
    values = json.loads(path.read_text()) | {"pickable_object_name": "ribosom"}
    path.with_name("curation_0_ribosom.json").write_text(json.dumps(values))
    assert _train(own_project, tmp_path / "out") == 3
    said = _said(capsys)
    assert "ribosom" in said
    assert "closest: ribosome" in said


def test_a_class_without_picks_in_a_fold(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in _picks(own_project, "thyroglobulin"):
        if "SIM-0001" in str(path) or "SIM-0003" in str(path):
            path.unlink()
    assert _train(own_project, tmp_path / "out") == 3
    said = _said(capsys)
    assert "thyroglobulin" in said
    assert "fold" in said


def test_no_picks_at_all(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (own_project / "overlay").rglob("*.json"):
        path.unlink()
    assert _train(own_project, tmp_path / "out") == 3
    assert "no picks" in _said(capsys)


def test_picks_outside_the_volume(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in _picks(own_project, "ribosome") + _picks(own_project, "apo-ferritin"):
        if RUN in str(path):
            values = json.loads(path.read_text())
            for point in values["points"]:
                point["location"]["x"] += 1e5
            path.write_text(json.dumps(values))
    assert _train(own_project, tmp_path / "out") == 3
    assert "outside the tomogram" in _said(capsys)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.optimizer.stepss=3", "stepss"),
        ("train.optimizer.steps=abc", "abc"),
        ("model.params.nosuch=1", "nosuch"),
        ("model.network=os", "no part 'os'"),
        ("loss.name=hinge", "no part 'hinge'"),
        ("train.folds=40", "folds"),
        ("train.crop=[40,40,20]", "crop"),
        ("refiner.patch=23", "patch"),
        ("data.tomo_type=wbpp", "wbpp"),
        ("data.runs=[nope]", "nope"),
        ("infer.engine=quick", "quick"),
        ("infer.precision=fp16", "fp16"),
    ],
)
def test_settings_that_cannot_be(
    project: Path, tmp_path: Path, word: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _train(project, tmp_path / "out", word)
    said = _said(capsys)
    assert code in (2, 3)
    assert expected in said
    assert not (tmp_path / "out" / "bundle.json").exists()


def test_a_bundle_that_is_none(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "predict",
        str(project),
        "--model",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
        *SMOKE,
    ]
    assert main(words) == 3
    assert "no bundle here" in _said(capsys)


@pytest.mark.parametrize("damage", ["truncated", "no thresholds", "leads out", "other format"])
def test_a_damaged_bundle(
    bundle: Path, project: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    path = copy / "bundle.json"
    values = json.loads(path.read_text())
    if damage == "truncated":
        path.write_text(path.read_text()[:200])
    elif damage == "no thresholds":
        del values["fits"]["two_stage"]["thresholds"]
        path.write_text(json.dumps(values))
    elif damage == "leads out":
        path.write_text(json.dumps(values | {"detectors": ["../../etc/passwd"]}))
    else:
        path.write_text(json.dumps(values | {"format": 99}))
    out = tmp_path / "out"
    assert main(["predict", str(project), "--model", str(copy), "--out", str(out), *SMOKE]) == 3
    assert "bundle" in _said(capsys)
    assert not (out / "picks.csv").exists()


def test_one_bad_tomogram_does_not_stop_the_others(
    bundle: Path, own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _chunk(own_project).unlink()
    out = tmp_path / "out"
    words = ["predict", str(own_project), "--model", str(bundle), "--out", str(out), *SMOKE]
    assert main(words) == 4
    assert RUN in _said(capsys)
    assert len(list(out.glob("runs/*/candidates.npz"))) == 3
    assert not (out / "runs" / RUN / "candidates.npz").exists()
    assert list(json.loads((out / "summary.json").read_text())["failed"]) == [RUN]


def test_a_volume_smaller_than_a_tile_is_picked(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryo_pick.formats.mrc import write_mrc

    volume = np.random.default_rng(0).normal(size=(5, 17, 9)).astype(np.float32)
    write_mrc(tmp_path / "small.mrc", volume, 20.0)
    words = ["predict", str(tmp_path / "small.mrc"), "--model", str(bundle)]
    assert main([*words, "--out", str(tmp_path / "out"), *SMOKE]) == 0
    assert (tmp_path / "out" / "runs" / "small" / "candidates.npz").exists()


def test_another_voxel_spacing_is_resampled_and_said(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryo_pick.formats.mrc import write_mrc

    volume = np.random.default_rng(0).normal(size=(24, 48, 48)).astype(np.float32)
    write_mrc(tmp_path / "fine.mrc", volume, 10.0)
    words = ["predict", str(tmp_path / "fine.mrc"), "--model", str(bundle)]
    assert main([*words, "--out", str(tmp_path / "out"), *SMOKE]) == 0
    assert "resampled" in _said(capsys)
    write_mrc(tmp_path / "coarse.mrc", volume, 100.0)
    words = ["predict", str(tmp_path / "coarse.mrc"), "--model", str(bundle)]
    assert main([*words, "--out", str(tmp_path / "out2"), *SMOKE]) == 3


def test_empty_picks_file_scores_zero(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("id,experiment,particle_type,x,y,z,score\n")
    assert main(["evaluate", str(empty), str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["score"] == 0
    empty.write_text("")
    assert main(["evaluate", str(empty), str(project)]) == 3
    assert "empty.csv" in _said(capsys)

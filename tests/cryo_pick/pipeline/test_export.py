"""A bundle for other runtimes: the files pick what torch picks, and the report says how nearly."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.errors import ConfigError
from cryo_pick.network_spec import read_spec
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.export import export_bundle, pick_overlap
from detector import engine
from detector.settings import InferSettings
from tests.cryo_pick.pipeline.conftest import SMOKE

PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_exported_detectors_pick_what_torch_picks(
    kind: str, bundle: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not all(map(importlib.util.find_spec, PACKAGES[kind])):
        pytest.skip(f"{kind} is not installed")
    run = "data.runs=[" + next(iter(read_bundle(bundle).folds)) + "]"
    words = ["export-model", str(bundle), "--format", kind, "--out", str(tmp_path)]
    # In fp32, as the reference: where the CPU has bf16, that would be the default.
    words += ["--check", str(project), *SMOKE, run, "infer.precision=fp32"]
    assert main(words) == 0
    said = capsys.readouterr().out
    report = json.loads((tmp_path / "parity.json").read_text())
    assert len(report) == 1
    for values in report.values():
        assert values["largest_difference"] < 1e-3
        assert values["overlap"] > 0.99
        assert values["f4"] == pytest.approx(values["f4_torch"], abs=0.005)
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[kind]
    written = sorted(p.name for p in tmp_path.iterdir() if p.suffix == suffix)
    assert written == [f"detector-fold{i}{suffix}" for i in range(2)]
    assert all(name in said for name in written)


def test_openvino_files_hold_the_roundings_of_int8_where_that_is_asked_for(
    bundle: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(engine, "cpu_has_int8", lambda: True)
    plain = export_bundle(bundle, "openvino", tmp_path / "plain", InferSettings())
    asked = InferSettings(precision="int8")
    rounding = export_bundle(bundle, "openvino", tmp_path / "int8", asked)
    roundings = [[p.read_text().count('"FakeQuantize"') for p in ps] for ps in (plain, rounding)]
    assert roundings[0] == [0, 0]
    layers = [len(read_spec(bundle / m).int8_ranges) for m in read_bundle(bundle).detectors]
    assert min(layers) > 10
    for found, expected in zip(roundings[1], layers, strict=True):
        assert found >= expected  # of inputs; OpenVINO may fold those of weights
    run = "data.runs=[" + next(iter(read_bundle(bundle).folds)) + "]"
    words = ["export-model", str(bundle), "--format", "openvino", "--out", str(tmp_path / "again")]
    words += ["--check", str(project), "infer.precision=int8", run, "infer.accelerator=cpu"]
    assert main(words) == 0
    (values,) = json.loads((tmp_path / "again" / "parity.json").read_text()).values()
    # 8 bits in twelve layers of a network that has learnt nothing; a heatmap of up to 1
    assert 1e-4 < values["largest_difference"] < 0.2


def test_tensorrt_asks_for_what_it_needs(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--format tensorrt"):
        export_bundle(bundle, "tensorrt", tmp_path, InferSettings(accelerator="cpu"))
    assert not list(tmp_path.iterdir())


def test_without_data_there_is_no_report(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    assert main(["export-model", str(copy), "--format", "openvino"]) == 0
    assert "give --check PROJECT" in capsys.readouterr().out
    assert len(list((copy / "exported" / "openvino").glob("*.xml"))) == 2


def test_overlap_is_the_share_of_picks_that_both_have() -> None:
    one = Picks(np.array([[0, 0, 0], [50, 0, 0], [90, 0, 0.0]]), np.array([0, 0, 1]))
    other = Picks(np.array([[0, 0, 4], [50, 0, 9], [90, 0, 0.0]]), np.array([0, 0, 0]))
    assert pick_overlap(one, other, 5.0) == pytest.approx(1 / 5)
    assert pick_overlap(one, one, 5.0) == 1
    assert pick_overlap(Picks.empty(), Picks.empty(), 5.0) == 1


def test_a_bundle_remembers_its_precision_and_another_is_warned_of(
    bundle: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_bundle(bundle).infer["fitted_precision"] in ("fp32", "bf16")
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    values = json.loads((copy / "bundle.json").read_text())
    values["infer"]["fitted_precision"] = "fp16"
    (copy / "bundle.json").write_text(json.dumps(values))
    words = ["predict", str(project), "--out", str(tmp_path / "out"), *SMOKE]
    assert main([*words, "--model", str(copy), "--one-stage"]) == 0
    assert "were fitted on scores computed in fp16" in " ".join(capsys.readouterr().err.split())

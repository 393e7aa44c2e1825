"""What int8 needs is measured where the network is trained, kept beside it, and used from there."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.cli import main
from cryo_pick.network_spec import read_spec
from cryo_pick.pipeline import int8_ranges as measured
from cryo_pick.pipeline.int8_ranges import int8_ranges
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network
from detector import engine as engines
from detector.int8 import rounded_layers
from tests.cryo_pick.pipeline.conftest import SMOKE


def tomogram(shape: tuple[int, int, int], scale: float = 1.0) -> Tomogram:
    volume = scale * np.random.default_rng(0).standard_normal(shape, np.float32)
    return Tomogram(volume, (10.0, 10.0, 10.0), run="run")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Conv3d(16, 2, 1)
    ).eval()


def test_only_the_first_tomograms_are_looked_at_and_small_ones_are_left_out() -> None:
    loud = [tomogram((8, 8, 8), 10.0)]
    calm = [tomogram((8, 8, 8)) for _ in range(measured.TOMOGRAMS)]
    assert int8_ranges(network(), 2, calm + loud, None) == int8_ranges(network(), 2, calm, None)
    assert (
        int8_ranges(network(), 2, loud, None)["2"][1]
        > 5 * int8_ranges(network(), 2, calm, None)["2"][1]
    )
    assert int8_ranges(network(), 2, [tomogram((1, 8, 8))], None) == {}


def test_a_depth_that_a_network_was_trained_on_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(module: nn.Module, tiles: list[torch.Tensor]) -> dict[str, tuple[float, float]]:
        seen.extend(tuple(t.shape[2:]) for t in tiles)
        return {}

    monkeypatch.setattr(measured, "least_error_ranges", look)
    int8_ranges(network(), 2, [tomogram((50, 140, 60))], 16)
    assert seen == [(16, 128, 60)] * 3


def test_a_network_that_int8_would_change_too_much_has_no_ranges(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert int8_ranges(network(), 2, [tomogram((8, 8, 8))], None)
    monkeypatch.setattr(measured, "LARGEST_ERROR", 1e-6)
    assert int8_ranges(network(), 2, [tomogram((8, 8, 8))], None) == {}
    assert "int8 would change this detector's heatmap" in caplog.text


def test_training_leaves_ranges_and_predict_runs_in_int8_from_them(
    bundle: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    for path in sorted((bundle / "detector").glob("*.yaml")):
        module, spec = load_network(path.with_suffix(""), "detector.networks")
        assert set(spec.int8_ranges) == set(rounded_layers(module))
        assert spec.int8_ranges == read_spec(path).int8_ranges
    monkeypatch.setattr(engines, "cpu_has_int8", lambda: True)
    out = tmp_path / "out"
    words = ["predict", str(project), "--model", str(bundle), "--out", str(out)]
    assert main([*words, *SMOKE, "infer.engine=auto", "--one-stage"]) == 0
    assert "engine: OpenVINO int8" in (out / "run.log").read_text()


def test_a_bundle_fitted_in_int8_says_so(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(engines, "cpu_has_int8", lambda: True)
    copy = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace("engine: torch", "engine: auto"))
    assert main(["fit", str(copy)]) == 0
    assert json.loads((copy / "bundle.json").read_text())["infer"]["fitted_precision"] == "int8"

"""Detectors that begin with one of simulated tomograms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.config import Config, compose
from cryo_pick.errors import ConfigError
from cryo_pick.formats.copick import open_project
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.pretrain import pretrain
from cryo_pick.weights import load_network
from tests.cryo_pick.pipeline.conftest import SMOKE

SMALL = ["pretrain=simulated", "pretrain.runs=1", "pretrain.size=[32,64,64]", "pretrain.steps=2"]


def small(*words: str) -> Config:
    return compose([*SMOKE, *SMALL, *words])


def weights_of(path: Path) -> dict[str, np.ndarray]:
    """What is trained, without running statistics."""
    module = load_network(path, "detector.networks")[0]
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def test_without_runs_nothing_is_done(tmp_path: Path) -> None:
    config = compose(SMOKE)
    assert pretrain(config, 10.0, tmp_path / "out") is config
    assert not (tmp_path / "out").exists()


def test_a_detector_of_the_projects_spacing_is_trained_once(tmp_path: Path) -> None:
    config = small()
    begun = pretrain(config, 12.5, tmp_path)
    made = open_project(tmp_path / "pretrain" / "project")
    assert made.runs == ["SIM-0000"]
    assert made.open_tomogram("SIM-0000", config.data).voxel_spacing == (12.5, 12.5, 12.5)
    spec = load_network(tmp_path / "pretrain" / "detector", "detector.networks")[1]
    assert spec.trained_on == ("SIM-0000",)
    assert begun.train.start_from == str(tmp_path / "pretrain")
    assert (begun.train.optimizer, begun.data) == (config.train.optimizer, config.data)
    weights = tmp_path / "pretrain" / "detector.safetensors"
    project = tmp_path / "pretrain" / "project" / "copick_config.json"
    before = weights.stat().st_mtime_ns, project.stat().st_mtime_ns
    assert pretrain(config, 12.5, tmp_path) == begun
    assert (weights.stat().st_mtime_ns, project.stat().st_mtime_ns) == before


def test_another_simulation_in_its_place_is_refused(tmp_path: Path) -> None:
    pretrain(small(), 10.0, tmp_path)
    with pytest.raises(ConfigError, match="other settings or data"):
        pretrain(small("pretrain.seed=7"), 10.0, tmp_path)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_cannot_be_followed_is_refused_before_anything_is_read(
    dry: list[str], project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(project), "--out", str(tmp_path / "b"), *SMOKE, *SMALL, *dry]
    assert main([*words, "train.start_from=old"]) == 2
    assert "train.start_from=old and pretrain.runs=1" in capsys.readouterr().err
    assert main([*words, f"pretrain.densities={tmp_path / 'no'}"]) == 3
    said = capsys.readouterr().err
    assert "pretrain.densities: " in said
    assert "steps" not in said


def test_all_folds_begin_with_it_and_the_bundle_picks(
    own_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    words = ["train", str(own_project), "--out", str(out), *SMOKE, *SMALL]
    words += ["train.optimizer.learning_rate=1e-12", "train.optimizer.weight_decay=0"]
    assert main(words) == 0
    first = weights_of(out / "pretrain" / "detector")
    for name in read_bundle(out).detectors:
        state = weights_of(out / name)
        assert state.keys() == first.keys()
        for key, value in first.items():
            np.testing.assert_allclose(state[key], value, atol=1e-6)
    assert "pretraining" in json.loads((out / "spent.json").read_text())["seconds"]
    assert "a detector on 1 simulated" in capsys.readouterr().err

"""What is looked at before and during a training."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryo_pick.config import compose
from cryo_pick.errors import CryoPickError
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline import safe_start
from cryo_pick.pipeline.dataset import Dataset
from cryo_pick.pipeline.safe_start import (
    check_picks,
    estimate,
    outside,
    overfit_one_crop,
)
from cryo_pick.pipeline.validate import choose_runs, keep_best, picking_score
from cryo_pick.pipeline.whole import open_training_data
from cryo_pick.settings import OptimizerSettings
from cryo_pick.weights import load_network
from detector.cli import main as detector
from detector.train import build_detector
from metrics.evaluate import evaluate
from metrics.thresholds import cut
from tests.cryo_pick.pipeline.conftest import SMOKE

TYPES = ParticleTypes((ParticleType("a", 1, 40.0, 1.0), ParticleType("b", 2, 60.0, 3.0)))


@pytest.fixture(scope="module")
def trained(_simulated: Path, _cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that was looked at four times."""
    out = tmp_path_factory.mktemp("watched") / "d"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(_cache))
        words = ["train", f"data={_simulated}", "fold=0", f"out={out}", *SMOKE]
        words += ["train.watch.every=0.25", "train.watch.budget=1", "logger=tensorboard"]
        assert detector([*words, "train.watch.keep=2"]) == 0
    return out


def data_of(project: Path, *words: str) -> tuple[Dataset, dict[str, int]]:
    return open_training_data(compose([f"data={project}", *SMOKE, *words]))


def test_a_training_leaves_scores_pictures_and_its_best_weights(trained: Path) -> None:
    with (trained / "work" / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["step"] for r in rows] == ["1", "2", "3", "4"]
    assert all(0 <= float(r["f4"]) <= 1.1 for r in rows)
    assert {"f4 ribosome", "f4 apo-ferritin"} <= rows[0].keys()
    pictures = sorted(p.name for p in (trained / "work" / "previews").iterdir())
    assert len(pictures) == 4
    assert (trained / "previews" / "targets.png").read_bytes()[:4] == b"\x89PNG"
    best = sorted((trained / "work" / "best").glob("*.safetensors"))
    kept = {load_network(p.with_suffix(""), "detector.networks")[1].extra["f4"] for p in best}
    scores = sorted((float(r["f4"]) for r in rows), reverse=True)
    assert len(best) == 2
    assert sorted(kept, reverse=True)[0] == pytest.approx(scores[0], abs=1e-5)
    assert list((trained / "work" / "tensorboard").iterdir())


def test_looking_does_not_change_the_weights(trained: Path, project: Path, tmp_path: Path) -> None:
    words = ["train", f"data={project}", "fold=0", f"out={tmp_path / 'd'}", *SMOKE]
    assert detector([*words, "train.watch.every=0"]) == 0
    a, b = (p / "detector.safetensors" for p in (trained, tmp_path / "d"))
    assert a.read_bytes() == b.read_bytes()
    assert not (tmp_path / "d" / "work" / "validation.csv").exists()


def test_the_score_is_that_of_evaluate_at_its_thresholds() -> None:
    rng = np.random.default_rng(0)
    truth, picks = {}, {}
    for run in ("r1", "r2"):
        places = rng.uniform(0, 1000, (12, 3))
        truth[run] = Picks(places, rng.integers(0, 2, 12))
        moved = places + rng.normal(0, 10, places.shape)
        picks[run] = Picks(
            np.concatenate([moved, rng.uniform(0, 1000, (30, 3))]),
            np.concatenate([truth[run].classes, rng.integers(0, 2, 30)]),
            rng.uniform(0, 1, 42),
        )
    numbers, thresholds = picking_score(picks, truth, TYPES)
    official = evaluate({r: cut(p, thresholds) for r, p in picks.items()}, truth, TYPES)
    assert numbers["f4"] == pytest.approx(official.score)
    only = {r: t.of_class(0) for r, t in truth.items()}
    assert picking_score(picks, only, TYPES)[0].keys() == {"f4", "f4 a"}


def test_the_best_are_kept_in_whatever_order_they_come(tmp_path: Path) -> None:
    model = compose(["model=shuffle_unet"]).model
    module = build_detector(model, 2, 0)
    params = dict(model.params)
    spec = NetworkSpec("detector.networks", model.network, params, TYPES.names, 10.0)
    scores = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.9}
    for name, order in (
        ("up", [1, 2, 3, 4]),
        ("down", [4, 3, 2, 1]),
        ("again", [1, 2, 1, 2, 3, 4]),
    ):
        for step in order:
            keep_best(tmp_path / name, module, spec, step, scores[step], 2)
        left = sorted(p.stem for p in (tmp_path / name).glob("*.safetensors"))
        assert left == ["step0000002", "step0000004"]
    keep_best(tmp_path / "none", module, spec, 1, 1.0, 0)
    assert not (tmp_path / "none").exists()


def test_runs_with_most_classes_are_looked_at(project: Path) -> None:
    data, _ = data_of(project)
    runs = list(data.runs.values())
    bare = replace(runs[1], truth=runs[1].truth.of_class(0))
    assert bare.name not in [r.name for r in choose_runs([bare, *runs[2:]], 1)]
    assert len(choose_runs(runs, 99)) == len(runs)


def test_picks_beside_the_density_are_warned_of(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cryo_pick"):
        check_picks(data_of(project)[0])
        assert not [r for r in caplog.records if r.levelname == "WARNING"]
        assert "density lies" in caplog.text
        caplog.clear()
        check_picks(data_of(project, "data.origin_voxels=-1")[0])
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert "more than 0.3 voxel" in warning
    run = next(iter(data_of(project)[0].runs.values()))
    assert outside(run) == 0
    assert outside(replace(run, truth=Picks([[-500.0, 0, 0], [20.0, 20, 20]], [0, 0]))) == 1


def test_time_and_memory_of_a_training_are_estimated() -> None:
    module = torch.nn.Conv3d(1, 64, 3, padding=1)
    before = [p.clone() for p in module.parameters()]
    batch = {"image": np.zeros((2, 1, 32, 32, 32), np.float32)}

    def losses(network, batch):
        return {"loss": network(batch["image"]).square().mean()}

    settings = OptimizerSettings(steps=100, accelerator="cpu")
    found = estimate(module, losses, batch, settings)
    output = 2 * 64 * 32**3 * 4
    assert output < found.bytes < 6 * output
    assert found.seconds == pytest.approx(100 * found.step_seconds)
    assert estimate(module, losses, batch, replace(settings, minutes=0.01)).seconds <= 0.6
    parted = estimate(module, losses, batch, replace(settings, accumulate=2))
    assert parted.bytes < 0.7 * found.bytes
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert all(p.grad is None for p in module.parameters())


def test_a_dry_run_draws_and_stops(project: Path, tmp_path: Path, capsys) -> None:
    words = ["train", f"data={project}", "fold=1", f"out={tmp_path / 'd'}", *SMOKE, "--dry-run"]
    assert detector(words) == 0
    assert [p.name for p in (tmp_path / "d").rglob("*")] == ["previews", "targets.png"]
    shown = capsys.readouterr()
    assert "learnt from / judged on" in " ".join(shown.out.split())
    assert "detector training: about" in shown.err
    assert "GiB for tensors" in shown.err


def test_one_crop_is_learnt_or_it_is_said(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_start, "OVERFIT_STEPS", 40)
    monkeypatch.setattr(safe_start, "LEARNT", 0.7)
    config = compose([f"data={project}", *SMOKE, "train.optimizer.learning_rate=0.01"])
    data, _ = open_training_data(config)
    runs = list(data.runs.values())
    assert "after 40 steps" in overfit_one_crop(data, runs, config)
    config.train.optimizer.learning_rate = 1e-9
    with pytest.raises(CryoPickError, match="can't be learnt"):
        overfit_one_crop(data, runs, config)

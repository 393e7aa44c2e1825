"""A small scene with scored picks of two stages, whose numbers every test can count by itself."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report import ReportData, RunResult
from cryo_pick.tomogram import Tomogram

TYPES = ParticleTypes(
    (
        ParticleType("shell", 1, 60.0, 2.0, (0, 117, 220, 255)),
        ParticleType("blob", 2, 80.0, 1.0, (255, 80, 5, 255)),
    )
)
SHAPE, SPACING = (24, 64, 64), 10.0


def make_truth(rng: np.random.Generator, n: int = 14) -> Picks:
    size = np.array(SHAPE) * SPACING
    return Picks(rng.uniform(40, size - 40, (n, 3)), np.arange(n) % 2)


def make_scored(truth: Picks, rng: np.random.Generator, error: float, n_false: int = 30) -> Picks:
    """Both classes at every place near a particle and at random places, as float32 scores."""
    size = np.array(SHAPE) * SPACING
    places = np.concatenate(
        [
            truth.positions + rng.normal(0, error, (len(truth), 3)),
            rng.uniform(0, size, (n_false, 3)),
        ]
    )
    scores = rng.beta(2, 6, (len(places), 2))
    scores[np.arange(len(truth)), truth.classes] += 0.35
    scores = np.clip(scores, 0, 1).astype(np.float32)
    return Picks(np.repeat(places, 2, axis=0), np.tile([0, 1], len(places)), scores.ravel())


def make_data(two_stages: bool = True, known: bool = True) -> ReportData:
    rng = np.random.default_rng(3)
    runs = []
    for name in ("R1", "R2", "R3"):
        truth = make_truth(rng)
        one, two = (make_scored(truth, rng, error) for error in (12.0, 5.0))
        runs.append(
            RunResult(name, truth if known else Picks.empty(), one, two if two_stages else None)
        )
    return ReportData(
        "A title",
        TYPES,
        tuple(runs),
        np.array([0.45, 0.4]),
        np.array([0.5, 0.38]) if two_stages else None,
        folds={"R1": 0, "R2": 1, "R3": 0} if known else None,
        provenance={"command": "cryo-pick train P --out B"},
        timings={"detector": 75.0, "fit": 1.25},
        memory={"detector": 3 * 2**30},
        notes=("A note.",),
    )


def make_tomogram(run: str, picks: Picks, sign: float = -1.0) -> Tomogram:
    """Gaussian blobs at picks, dark where `sign` is -1, in weak noise."""
    volume = np.random.default_rng(0).normal(0, 0.1, SHAPE)
    grid = np.stack(np.indices(SHAPE), axis=-1) * SPACING
    for position in picks.positions:
        volume += sign * np.exp(-np.square(grid - position).sum(-1) / (2 * 25.0**2))
    return Tomogram(volume.astype(np.float32), (SPACING,) * 3, run=run, tomo_type="denoised")


@pytest.fixture(scope="session")
def data() -> ReportData:
    return make_data()


@pytest.fixture(scope="session")
def one_stage_data() -> ReportData:
    return make_data(two_stages=False)


@pytest.fixture(scope="session")
def unknown_data() -> ReportData:
    return make_data(known=False)


@pytest.fixture(scope="session")
def tomograms(data: ReportData) -> dict[str, Tomogram]:
    return {r.run: make_tomogram(r.run, r.truth) for r in data.runs}

"""A project with one run, and a folder of candidates as `predict` leaves it, made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.formats.candidates_npz import write_candidates
from cryo_pick.formats.copick import CopickProject, create_project
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle, StageFit, write_bundle
from metrics.thresholds import ThresholdChoice
from refiner.blend import Blend

TYPES = ParticleTypes(
    (
        ParticleType("shell", 1, 60.0, 1.0, (0, 117, 220, 255)),
        ParticleType("blob", 2, 80.0, 1.0, (255, 80, 5, 255)),
    )
)
POSITIONS = np.array(
    [[100.0, 100, 100], [100, 300, 100], [100, 500, 100], [100, 100, 400], [100, 300, 400]]
)
MOVED = np.array([0.0, 5.0, 0.0])
STAGE1 = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.1], [0.2, 0.45], [0.02, 0.02]], np.float32)
STAGE2 = np.array(
    [[0.9, 0.05, 0.05], [0.1, 0.1, 0.8], [0.5, 0.1, 0.4], [0.1, 0.9, 0.0], [0.02, 0.03, 0.95]],
    np.float32,
)
"""Sure; taken out by stage 2; close to the threshold; brought in by stage 2; nothing."""


def fit_of(stage1: float, stage2: float) -> StageFit:
    blend = Blend(np.full(2, stage1), np.full(2, stage2), np.zeros(2))
    chosen = ThresholdChoice(0.5, 0.8, 0.4, 0.6)
    return StageFit(blend, (chosen,) * 2, ((0.4, 0.6),) * 2, ({},) * 2, {"nested": 0.8})


@pytest.fixture
def candidates() -> Candidates:
    return Candidates(POSITIONS, STAGE1, STAGE2, POSITIONS + MOVED)


@pytest.fixture
def fits() -> dict[str, StageFit]:
    return {"one_stage": fit_of(1.0, 0.0), "two_stage": fit_of(0.5, 0.5)}


@pytest.fixture
def project(tmp_path: Path) -> CopickProject:
    made = create_project(tmp_path / "project", "review", TYPES)
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 1, (20, 60, 60)).astype(np.float32)
    made.add_tomogram("TS_1", volume, 10.0, "denoised")
    made.write_picks("TS_1", Picks(POSITIONS[:1], np.array([0])), "curation", "0")
    return made


@pytest.fixture
def folder(tmp_path: Path, candidates: Candidates, fits: dict[str, StageFit]) -> Path:
    place = tmp_path / "predicted"
    write_candidates(place / "runs" / "TS_1" / "candidates.npz", candidates, TYPES.names)
    bundle = Bundle(
        types=TYPES, voxel_spacing=10.0, tomo_type="denoised", intensity={}, detectors=("d",),
        refiners=("r",), fits=fits, candidates={}, infer={},
        refiner={"patch": 40, "views": 1, "batch_size": 8},
    )  # fmt: skip
    write_bundle(place, bundle)
    return place

"""A whole bundle of both stages that nobody trained, and tomograms of noise: runs of a moment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from cryo_pick.formats.mrc import write_mrc
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.pipeline.bundle import Bundle, StageFit, write_bundle
from cryo_pick.weights import save_network
from detector.settings import CandidatesSettings, ModelSettings
from detector.train import build_detector, detector_spec
from metrics.thresholds import ThresholdChoice
from refiner.blend import Blend
from refiner.settings import RefinerSettings
from refiner.train import build_refiner, refiner_spec

TYPES = ParticleTypes((ParticleType("small", 1, 60.0), ParticleType("large", 2, 90.0, 2.0)))
SPACING = 10.0
MODEL = ModelSettings(params={"channels": [4, 8], "blocks": [1, 1]})
REFINER = RefinerSettings(
    params={"channels": [4], "blocks": [1], "hidden": 8}, patch=16, views=2, batch_size=16
)
SETTINGS = ["infer.engine=torch", "infer.precision=fp32", "infer.accelerator=cpu"]


def write_tiny_bundle(folder: Path) -> Path:
    """A bundle whose scores are noise around 0.5 and whose thresholds keep about half of it."""
    detector = build_detector(MODEL, len(TYPES), 0)
    with torch.no_grad():
        detector.head.bias.fill_(0.5)
    spec = detector_spec(MODEL, TYPES, SPACING, ["elsewhere"])
    save_network(folder / "detector" / "fold0", detector, spec)
    spec = refiner_spec(REFINER, TYPES, SPACING, ["elsewhere"])
    save_network(folder / "refiner" / "fold0", build_refiner(REFINER, len(TYPES)), spec)
    k = len(TYPES)
    blends = {
        "one_stage": Blend(np.ones(k), np.zeros(k), np.zeros(k)),
        "two_stage": Blend(np.ones(k), np.full(k, 0.5), np.zeros(k)),
    }
    choice = ThresholdChoice(0.5, 0.5, 0.4, 0.6)
    fits = {
        stage: StageFit(blend, (choice,) * k, ((0.4, 0.6),) * k, ({},) * k, {})
        for stage, blend in blends.items()
    }
    write_bundle(
        folder,
        Bundle(
            TYPES, SPACING, "", {"skew": 0.0}, ("detector/fold0",), ("refiner/fold0",), fits,
            asdict(CandidatesSettings(threshold=0.1, max_per_run=60)), {"views": 2},
            {"patch": REFINER.patch, "views": REFINER.views, "batch_size": REFINER.batch_size},
        ),
    )  # fmt: skip
    return folder


def write_tomograms(folder: Path, n: int, shape: tuple[int, int, int] = (16, 40, 40)) -> Path:
    """MRC files of noise, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        volume = np.random.default_rng(i).normal(size=shape).astype(np.float32)
        write_mrc(folder / f"run{i:03d}.mrc", volume, SPACING)
    return folder

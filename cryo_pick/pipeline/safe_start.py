"""What is looked at before the first step of a training, so that a bad start costs seconds."""

from __future__ import annotations

import copy
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cryo_pick.config import Config
from cryo_pick.conv3d_gradient import RightGradients
from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.errors import CryoPickError
from cryo_pick.fabric import training_precision
from cryo_pick.fit import LossFunction, split_batch
from cryo_pick.hardware import choose_device
from cryo_pick.logs import duration
from cryo_pick.objects import ParticleTypes
from cryo_pick.pick_offset import Offset, combine_offsets, measure_offset
from cryo_pick.pipeline.dataset import DataRun, Dataset
from cryo_pick.pipeline.training_preview import draw_crops
from cryo_pick.settings import AugmentSettings, OptimizerSettings
from detector.engine_torch import autocast
from detector.network_geometry import peak_bytes
from detector.train import DetectorParts, detector_parts, train_detector, training_run
from refiner.train import build_refiner, losses_of

logger = logging.getLogger(__name__)

MAX_OFFSET = 0.3
"""Voxels between picks and density, all classes together, above which it is warned."""
OFFSET_RUNS, OFFSET_PICKS = 2, 40
"""Runs, and picks of a class in each, that the offset is measured on."""
LEARNT = 0.1
"""Share of the first loss below which one crop is learnt."""
OVERFIT_STEPS = 300


@dataclass(frozen=True)
class Estimate:
    """What a training will take.

    Attributes
    ----------
    seconds
    step_seconds
        Of one step, the best of a few.
    bytes
        Largest amount of memory that tensors take at one moment of a step, weights included.
    """

    seconds: float
    step_seconds: float
    bytes: int

    def __str__(self) -> str:
        return (
            f"about {duration(self.seconds)} ({self.step_seconds:.2f} s a step), "
            f"{self.bytes / 2**30:.1f} GiB for tensors"
        )


def outside(run: DataRun) -> int:
    """Picks of a run that lie outside its volume, by more than half a voxel."""
    index = angstrom_to_index(run.truth.positions, run.tomogram.voxel_spacing, run.tomogram.origin)
    return int(((index < -0.5) | (index > np.array(run.tomogram.shape) - 0.5)).any(1).sum())


def pick_offset(runs: Sequence[DataRun], types: ParticleTypes) -> Offset | None:
    """Offset of the density from the picks, over all classes; None where there are too few picks.

    Parameters
    ----------
    runs
        The first few are read whole.
    types
    """
    loaded = [
        replace(r.tomogram, volume=np.ascontiguousarray(r.tomogram.volume[:]))
        for r in runs[:OFFSET_RUNS]
    ]
    found = []
    for index, kind in enumerate(types):
        places = [r.truth.of_class(index).positions[:OFFSET_PICKS] for r in runs[:OFFSET_RUNS]]
        offset = measure_offset(loaded, places, kind.radius)
        if offset is not None:
            found.append(offset)
    return combine_offsets(found) if found else None


def offset_text(offset: Offset, voxel_spacing: float) -> tuple[str, bool]:
    """The offset in words, and whether it is one to be warned of.

    It is if it exceeds :data:`MAX_OFFSET` voxels on an axis by more than its standard error says.
    """
    voxels, error = offset.mean / voxel_spacing, offset.error / voxel_spacing
    shown = ", ".join(f"{v:+.2f} ± {e:.2f}" for v, e in zip(voxels, error, strict=True))
    far = bool((np.abs(voxels) - error > MAX_OFFSET).any())
    return f"density lies {shown} voxels (z, y, x) from {offset.n_picks} picks", far


def check_picks(data: Dataset) -> None:
    """Say where picks lie outside the volume or beside the density."""
    for name, run in data.runs.items():
        if n := outside(run):
            logger.warning("%s: %d picks lie outside the volume; check its origin", name, n)
    offset = pick_offset(list(data.runs.values()), data.types)
    if offset is None:
        logger.info("too few picks to measure how they lie on the density")
        return
    text, far = offset_text(offset, data.voxel_spacing)
    if far:
        logger.warning(
            "%s: more than %g voxel; check data.origin or data.origin_voxels with "
            "cryo-pick inspect before you train", text, MAX_OFFSET,
        )  # fmt: skip
    else:
        logger.info("%s", text)


def estimate(
    module: nn.Module,
    losses: LossFunction,
    batch: Mapping[str, Any],
    settings: OptimizerSettings,
) -> Estimate:
    """Time a few steps of a copy of a network, and count the memory of one.

    Parameters
    ----------
    module
        Left as it is.
    losses, batch
        Of the training.
    settings
        `steps`, `minutes`, `accumulate`, `accelerator` and `precision` are read.
    """
    device, precision = choose_device(settings.accelerator), training_precision(settings)
    copied = copy.deepcopy(module).to(device, memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    tensors = {k: torch.as_tensor(np.ascontiguousarray(v)).to(device) for k, v in batch.items()}
    part: dict[str, Tensor] = split_batch(tensors, settings.accumulate)[0]

    def step() -> None:
        copied.zero_grad(set_to_none=True)
        with RightGradients():
            with autocast(device, precision):
                loss = losses(copied, part)["loss"]
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    state = torch.random.get_rng_state()
    weights = sum(p.numel() * p.element_size() for p in copied.parameters())
    # Weights, their average, and two moments of the optimizer; gradients are made in the step.
    memory = peak_bytes(step) + 4 * weights
    times = []
    for _ in range(3):
        started = time.monotonic()
        step()
        times.append(time.monotonic() - started)
    torch.random.set_rng_state(state)
    each = min(times) * settings.accumulate
    seconds = settings.steps * each
    if settings.minutes is not None:
        seconds = min(seconds, 60 * settings.minutes)
    return Estimate(seconds, each, memory)


def detector_parts_of(data: Dataset, runs: Sequence[DataRun], config: Config) -> DetectorParts:
    """Network, loss and crops of a detector's training on some runs."""
    samples = [training_run(r.tomogram, r.truth, data.types, config.target) for r in runs]
    return detector_parts(
        samples,
        len(data.types),
        config.model,
        config.loss,
        config.augment,
        config.train,
        config.target,
    )


def check_detector(
    data: Dataset, runs: Sequence[DataRun], config: Config, out: Path | None
) -> Estimate:
    """Draw what a detector will learn from, and estimate its training.

    Parameters
    ----------
    data, runs, config
        `runs` are those it will learn from.
    out
        Folder for previews/targets.png; None: nothing is written.
    """
    parts = detector_parts_of(data, runs, config)
    batch = parts.sampler.batch(0, config.train.optimizer.batch_size)
    if out is not None:
        draw_crops(out / "previews" / "targets.png", batch)
        logger.info("target previews: %s", out / "previews" / "targets.png")
    expected = estimate(parts.module, parts.losses, batch, config.train.optimizer)
    logger.info("detector training: %s", expected)
    return expected


def check_refiner(config: Config, types: ParticleTypes, stride: int) -> Estimate:
    """Estimate a refiner's training, on patches of noise."""
    settings = config.refiner
    k, n, p = len(types), settings.optimizer.batch_size, settings.patch
    rng = np.random.default_rng(0)
    batch = {
        "patch": rng.standard_normal((n, 1, p, p, p), np.float32),
        "heatmap": rng.random((n, k, *(3 * [p // stride])), np.float32),
        "stage1": rng.random((n, k), np.float32),
        "label": rng.integers(0, k + 1, n),
        "offset": rng.standard_normal((n, 3), np.float32),
    }
    module = build_refiner(settings, k)
    weights = np.ones(k + 1) if settings.loss == "balanced" else None
    expected = estimate(module, losses_of(settings, weights), batch, settings.optimizer)
    logger.info("refiner training: %s", expected)
    return expected


def overfit_one_crop(data: Dataset, runs: Sequence[DataRun], config: Config) -> str:
    """Train on one crop alone, as it is; what came of it, in words.

    Raises
    ------
    CryoPickError
        If the loss stays: the network, the loss or the learning rate can't learn this.
    """
    optimizer = replace(
        config.train.optimizer, steps=OVERFIT_STEPS, minutes=None, devices=1, nodes=1, accumulate=1
    )
    plain = AugmentSettings(flip=False, rot90=False, scale=0.0, shift=0.0, noise=0.0)
    train = replace(config.train, optimizer=optimizer, centred=1.0, overfit_one=True)
    samples = [training_run(r.tomogram, r.truth, data.types, config.target) for r in runs]
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as work:
        train_detector(
            samples, len(data.types), config.model, config.loss, plain, train, Path(work),
            target=config.target, on_progress=lambda _, numbers: seen.append(numbers["loss"]),
        )  # fmt: skip
    text = f"loss of one crop: {seen[0]:.4g} at first, {seen[-1]:.4g} after {len(seen)} steps"
    if not seen[-1] < LEARNT * seen[0]:
        raise CryoPickError(
            f"{text}: it can't be learnt. Look at previews/targets.png, and try another "
            "train.optimizer.learning_rate, loss or model"
        )
    return text

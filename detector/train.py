"""Train one detector on some runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.errors import ConfigError
from cryo_pick.fit import FitResult, LossFunction, Watch, fit
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleTypes
from cryo_pick.parts import build_part
from cryo_pick.picks import Picks
from cryo_pick.settings import AugmentSettings
from cryo_pick.tomogram import Tomogram
from detector.combinations import check_training
from detector.parts import LOSSES, NETWORKS, output_stride
from detector.sampling import CropSampler, TrainingRun
from detector.settings import DetectorTrainSettings, LossSettings, ModelSettings, TargetSettings
from detector.targets import target_widths

Criterion = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(output, target, annotated) to a loss; see :mod:`detector.losses`."""


@dataclass(frozen=True)
class DetectorParts:
    """What a detector's training is made of."""

    module: nn.Module
    losses: LossFunction
    sampler: CropSampler


def training_run(
    tomogram: Tomogram,
    truth: Picks,
    types: ParticleTypes,
    target: TargetSettings,
    reviewed: NDArray[np.float64] | None = None,
) -> TrainingRun:
    """A run in voxels, ready to draw crops from.

    Parameters
    ----------
    tomogram
        Normalised.
    truth, types, target
    reviewed : (n, 3) array, Å, zyx, or None
        Places that a person judged.
    """
    spacing = np.array(tomogram.voxel_spacing)
    centres = angstrom_to_index(truth.positions, tomogram.voxel_spacing, tomogram.origin)
    judged = np.empty((0, 3)) if reviewed is None else reviewed
    annotated = None
    if target.ignore_missing:
        annotated = np.isin(np.arange(len(types)), truth.classes)
    return TrainingRun(
        tomogram.volume,
        centres,
        truth.classes,
        target_widths(types, target) / spacing,
        tomogram.run,
        angstrom_to_index(judged, tomogram.voxel_spacing, tomogram.origin),
        types.radii / spacing.mean(),
        annotated,
    )


def build_detector(model: ModelSettings, n_classes: int, seed: int) -> nn.Module:
    """The network of a config, with random weights that depend on the seed alone."""
    torch.manual_seed(seed)
    module: nn.Module = build_part(
        NETWORKS, model.network, model.params, "model", n_classes=n_classes
    )
    return module


def train_detector(
    runs: Sequence[TrainingRun],
    n_classes: int,
    model: ModelSettings,
    loss: LossSettings,
    augment: AugmentSettings,
    train: DetectorTrainSettings,
    folder: Path,
    *,
    target: TargetSettings | None = None,
    start: Mapping[str, Tensor] | None = None,
    watch: Watch | None = None,
    identity: str = "",
    on_progress: Callable[[float, dict[str, float]], None] | None = None,
) -> tuple[nn.Module, FitResult]:
    """Train until done, or on from a checkpoint in `folder`.

    Parameters
    ----------
    runs
        What the network may see.
    n_classes, model, loss, augment, train
        What is trained and how.
    folder
        For the checkpoint and the log.
    target
        What `runs` were made with; only the kind is read. None: Gaussians.
    start
        Weights to begin with; None: random ones.
    watch, identity
        See :func:`cryo_pick.fit.fit`.
    on_progress
        Told the share done and the latest numbers.

    Returns
    -------
    module
        On the CPU, in evaluation mode, with averaged weights.
    result

    Raises
    ------
    ConfigError
        If network, loss, target or crop can't be used, or not together, or the training diverges.
    """
    parts = detector_parts(runs, n_classes, model, loss, augment, train, target)
    if start is not None:
        parts.module.load_state_dict(dict(start))
    result = fit(
        parts.module,
        parts.losses,
        parts.sampler.one_crop if train.overfit_one else parts.sampler.batch,
        train.optimizer,
        folder,
        identity=identity,
        on_progress=on_progress,
        describe=parts.sampler.describe,
        watch=watch,
    )
    return parts.module.to("cpu").eval(), result


def detector_parts(
    runs: Sequence[TrainingRun],
    n_classes: int,
    model: ModelSettings,
    loss: LossSettings,
    augment: AugmentSettings,
    train: DetectorTrainSettings,
    target: TargetSettings | None = None,
) -> DetectorParts:
    """Network, loss and crops of a training; the arguments are those of :func:`train_detector`.

    Raises
    ------
    ConfigError
        If network, loss, target or crop can't be used, or not together.
    """
    target = target or TargetSettings()
    check_training(model, target, loss, augment)
    module = build_detector(model, n_classes, train.optimizer.seed)
    stride = output_stride(model.network)
    crop = _checked_crop(module, train.crop, stride)
    criterion: Criterion = build_part(LOSSES, loss.name, loss.params, "loss")
    sampler = CropSampler(
        runs, n_classes, crop, stride, train.centred, augment, train.optimizer.seed, target.kind
    )

    def losses(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": batch_loss(network(batch["image"]), batch, criterion, loss.auxiliary)}

    return DetectorParts(module, losses, sampler)


def batch_loss(
    output: Tensor | Sequence[Tensor],
    batch: Mapping[str, Tensor],
    criterion: Criterion,
    auxiliary: Sequence[float] = (),
) -> Tensor:
    """The loss of a batch: over mixed samples, and over every output that the network has.

    Parameters
    ----------
    output : (b, k, d, h, w) tensor, or several, the finest first
    batch
        What :meth:`detector.sampling.CropSampler.batch` gives.
    criterion
    auxiliary
        Weight of each output after the first; its target is the largest value in each cell of it.

    Raises
    ------
    ConfigError
        If there isn't one weight for each output after the first.
    """
    outputs = [output] if isinstance(output, Tensor) else list(output)
    if len(outputs) - 1 != len(auxiliary):
        raise ConfigError(
            f"loss.auxiliary: expected {len(outputs) - 1} weight(s), one for each auxiliary output "
            f"of the network (model.params.auxiliary), but got {list(auxiliary)}"
        )
    annotated = batch.get("annotated")

    def over_outputs(target: Tensor) -> Tensor:
        total = criterion(outputs[0], target, annotated)
        for weight, coarse in zip(auxiliary, outputs[1:], strict=True):
            smaller = nn.functional.adaptive_max_pool3d(target, coarse.shape[2:])
            total = total + weight * criterion(coarse, smaller, annotated)
        return total

    if "mix" not in batch:
        return over_outputs(batch["target"])
    share = batch["mix"][0]
    return share * over_outputs(batch["target"]) + (1 - share) * over_outputs(batch["other_target"])


def _checked_crop(module: nn.Module, crop: Sequence[int], stride: int) -> tuple[int, int, int]:
    """The crop, unless the network can't halve it as often as it wants to."""
    try:
        d, h, w = crop
        with torch.no_grad():
            found = tuple(module.eval()(torch.zeros(1, 1, d, h, w)).shape[2:])
        if found != (d / stride, h / stride, w / stride):
            raise ValueError(f"the heatmap comes out as {list(found)}")
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"train.crop={list(crop)} does not fit this network (multiples of 16 or 32 do): {error}"
        ) from error
    return d, h, w


def detector_spec(
    model: ModelSettings, types: ParticleTypes, voxel_spacing: float, trained_on: Sequence[str]
) -> NetworkSpec:
    """What is written beside a detector's weights; these replace any pretrained ones."""
    params = dict(model.params)
    if "pretrained" in params:
        params["pretrained"] = False
    return NetworkSpec(
        NETWORKS, model.network, params, types.names, voxel_spacing, tuple(trained_on)
    )

"""Train one refiner on out-of-fold candidates of some runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.fit import FitResult, LossFunction, Watch, fit
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleTypes
from cryo_pick.parts import build_part
from cryo_pick.settings import AugmentSettings
from refiner.engine import OFFSET_UNIT
from refiner.losses import mixed, refiner_loss
from refiner.sampling import PatchSampler, RefinerRun
from refiner.settings import RefinerSettings

NETWORKS = "refiner.networks"


def build_refiner(settings: RefinerSettings, n_classes: int) -> nn.Module:
    """The network of a config, with random weights that depend on the seed alone."""
    torch.manual_seed(settings.optimizer.seed)
    module: nn.Module = build_part(
        NETWORKS, settings.network, settings.params, "refiner", n_classes=n_classes
    )
    return module


def train_refiner(
    runs: Sequence[RefinerRun],
    types: ParticleTypes,
    settings: RefinerSettings,
    augment: AugmentSettings,
    folder: Path,
    *,
    start: Mapping[str, Tensor] | None = None,
    watch: Watch | None = None,
    identity: str = "",
    on_progress: Callable[[float, dict[str, float]], None] | None = None,
) -> tuple[nn.Module, FitResult]:
    """Train until done, or on from a checkpoint in `folder`.

    Parameters
    ----------
    runs
        Their candidates and heatmaps come from detectors that never saw them.
    types, settings, augment
        What is trained and how.
    folder
        For the checkpoint and the log.
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
        If network or patch can't be used, or the training diverges.
    InputError
        If no run has a candidate.
    """
    if not any(len(run.places) for run in runs):
        raise InputError(
            f"no candidates in {', '.join(r.name for r in runs) or 'any run'}; lower "
            "candidates.threshold or train the detector longer"
        )
    module = build_refiner(settings, len(types))
    if start is not None:
        module.load_state_dict(dict(start))
    _check_patch(module, settings.patch, len(types), runs[0].stride)
    sampler = PatchSampler(runs, types.radii, settings, augment, settings.optimizer.seed)
    weights = sampler.class_weights if settings.loss == "balanced" else None
    result = fit(
        module,
        losses_of(settings, weights),
        sampler.batch,
        settings.optimizer,
        folder,
        identity=identity,
        on_progress=on_progress,
        describe=sampler.describe,
        watch=watch,
    )
    return module.to("cpu").eval(), result


def losses_of(
    settings: RefinerSettings, class_weights: NDArray[np.float64] | None = None
) -> LossFunction:
    """The loss of a config, for :func:`cryo_pick.fit.fit`; weights are those of its classes."""
    return lambda network, batch: _losses(network, batch, settings, class_weights)


def _losses(
    network: nn.Module,
    batch: dict[str, Tensor],
    settings: RefinerSettings,
    class_weights: NDArray[np.float64] | None,
) -> dict[str, Tensor]:
    inputs, order, share = batch, None, 1.0
    if settings.mixup > 0:
        share = float(torch.distributions.Beta(settings.mixup, settings.mixup).sample())
        inputs, order = mixed(batch, share)
    logits, offsets = network(inputs["patch"], inputs["heatmap"], inputs["stage1"])

    def against(label: Tensor, offset: Tensor) -> dict[str, Tensor]:
        return refiner_loss(
            logits,
            offsets,
            label,
            offset / OFFSET_UNIT,
            offset_weight=settings.offset_weight,
            label_smoothing=settings.label_smoothing,
            kind=settings.loss,
            class_weights=None if class_weights is None else logits.new_tensor(class_weights),
        )

    losses = against(batch["label"], batch["offset"])
    if order is None:
        return losses
    other = against(batch["label"][order], batch["offset"][order])
    return {name: share * losses[name] + (1 - share) * other[name] for name in losses}


def _check_patch(module: nn.Module, patch: int, n_classes: int, stride: int) -> None:
    """Refuse a patch that the network or the heatmap's grid can't take."""
    try:
        if patch % stride:
            raise ValueError(f"it is no multiple of the heatmap's stride, {stride}")
        with torch.no_grad():
            cells = patch // stride
            module.eval()(
                torch.zeros(1, 1, patch, patch, patch),
                torch.zeros(1, n_classes, cells, cells, cells),
                torch.zeros(1, n_classes),
            )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"refiner.patch={patch} does not fit this network: {error}") from error


def refiner_spec(
    settings: RefinerSettings, types: ParticleTypes, voxel_spacing: float, trained_on: Sequence[str]
) -> NetworkSpec:
    """What is written beside a refiner's weights."""
    return NetworkSpec(
        NETWORKS,
        settings.network,
        dict(settings.params),
        types.names,
        voxel_spacing,
        tuple(trained_on),
        settings.patch,
    )

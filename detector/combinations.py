"""Which networks, targets, losses and augmentations go together."""

from __future__ import annotations

import inspect

from cryo_pick.errors import ConfigError, raise_all
from cryo_pick.parts import find_part
from cryo_pick.settings import AugmentSettings
from detector.parts import LOSSES, NETWORKS
from detector.settings import LossSettings, ModelSettings, TargetSettings

TARGETS = {
    "heatmap": ("gaussian", "sphere", "voxel", "slices"),
    "probabilities": ("sphere", "voxel"),
    "points": ("points",),
}
"""Kinds of target that a loss over each kind of output can use."""

_WHY = {
    "heatmap": "it compares heatmaps cell by cell",
    "probabilities": "Gaussians of two classes overlap, and probabilities of a cell sum to 1",
    "points": "it assigns cells to particles",
}


def network_output(model: ModelSettings) -> str:
    """What a network puts out: heatmap, probabilities or points.

    Raises
    ------
    ConfigError
        If there is no such network.
    """
    part = find_part(NETWORKS, model.network, "model.network")
    own = getattr(part, "OUTPUT", "heatmap")
    parameter = inspect.signature(part.build).parameters.get("softmax")
    softmax = model.params.get("softmax", parameter.default if parameter else False)
    return "probabilities" if softmax else str(own)


def check_training(
    model: ModelSettings, target: TargetSettings, loss: LossSettings, augment: AugmentSettings
) -> None:
    """Refuse parts of a training that don't go together.

    Raises
    ------
    ConfigError
        That names each pair, and what goes with it.
    """
    output = network_output(model)
    wanted = find_part(LOSSES, loss.name, "loss.name").OUTPUT
    problems = []
    if output != wanted:
        problems.append(
            f"loss={loss.name} is for networks that put out {wanted}, but model={model.network} "
            f"puts out {output}{_softmax_hint(output, wanted)}"
        )
    if target.kind not in TARGETS[wanted]:
        problems.append(
            f"loss={loss.name} does not go with target.kind={target.kind} ({_WHY[wanted]}); "
            f"use {' or '.join(TARGETS[wanted])}"
        )
    if augment.mixup != "none" and target.kind == "points":
        problems.append(
            f"augment.mixup={augment.mixup} does not go with target.kind=points, whose particles "
            "have no values to mix; use augment.mixup=none"
        )
    raise_all(problems, ConfigError, "settings")


def _softmax_hint(output: str, wanted: str) -> str:
    if {output, wanted} == {"heatmap", "probabilities"}:
        return f"; set model.params.softmax={str(wanted == 'probabilities').lower()}"
    return ""

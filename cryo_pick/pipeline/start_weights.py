"""Fine-tuning: a training that begins with the weights of a bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.objects import ParticleTypes
from cryo_pick.parts import build_part
from cryo_pick.transplant import class_axes, transplant
from cryo_pick.weights import load_network

logger = logging.getLogger(__name__)


def find_start(source: str, stage: str, unseen: Sequence[str]) -> Path:
    """Weights that a training begins with: of a bundle, the member that saw least of some runs.

    Parameters
    ----------
    source
        A bundle, a folder made by `detector train` or `refiner train`, or a weights file.
    stage
        detector or refiner.
    unseen
        Runs that the training will be validated on.

    Raises
    ------
    InputError
        If there are no such weights.
    """
    path = Path(source)
    if path.suffix in (".safetensors", ".yaml"):
        return path.with_suffix("")
    if (path / f"{stage}.safetensors").is_file():
        return path / stage
    members = sorted((path / stage).glob("*.safetensors"))
    if not members:
        raise InputError(
            f"start_from={source}: no {stage} weights there; expected a bundle, a folder made by "
            f"{stage} train, or a .safetensors file"
        )
    specs = {
        p.with_suffix(""): load_network(p.with_suffix(""), f"{stage}.networks") for p in members
    }
    seen = {p: len(set(spec.trained_on) & set(unseen)) for p, (_, spec) in specs.items()}
    best = min(seen, key=lambda p: seen[p])
    if seen[best]:
        logger.warning(
            "start_from: %s has seen runs with the names of %d validation runs; if they are the "
            "same tomograms, scores on them are too good",
            best, seen[best],
        )  # fmt: skip
    return best


def starting_weights(
    source: str | None,
    stage: str,
    network: str,
    params: Mapping[str, Any],
    types: ParticleTypes,
    unseen: Sequence[str],
    seed: int,
) -> dict[str, Tensor] | None:
    """The state that a network begins with; None where nothing is asked for.

    Parameters
    ----------
    source
        See :func:`find_start`.
    stage, network, params, types
        What will be trained.
    unseen
        Runs that it will be validated on.
    seed
        Of what no class has learnt yet.

    Raises
    ------
    ConfigError
        If the weights are of another network; its settings are named.
    InputError
        If there are no weights.
    """
    if source is None:
        return None
    path = find_start(source, stage, unseen)
    package = f"{stage}.networks"
    trained, spec = load_network(path, package)

    def build(n_classes: int) -> Any:
        return build_part(package, network, _untrained(params), stage, n_classes=n_classes)

    torch.manual_seed(seed)
    module: nn.Module = build(len(types))
    try:
        if network != spec.network:
            raise ValueError(f"it is a {spec.network}")
        done = transplant(
            module,
            trained.state_dict(),
            class_axes(build, len(types)),
            types.names,
            spec.classes,
        )
    except ValueError as error:
        key = "model=" if stage == "detector" else "refiner.network="
        raise ConfigError(
            f"start_from: {path} does not fit {key}{network}: {error}. It was made with "
            f"{spec.network} and {dict(spec.params)}"
        ) from error
    logger.info(
        "begins with %s: %s kept%s%s",
        path,
        ", ".join(done.kept) or "no class",
        f"; new: {', '.join(done.fresh)}" if done.fresh else "",
        f"; dropped: {', '.join(done.dropped)}" if done.dropped else "",
    )
    return module.state_dict()


def _untrained(params: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that download no weights, which would be replaced anyhow."""
    return {k: False if k == "pretrained" else v for k, v in params.items()}

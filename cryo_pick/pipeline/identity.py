"""What a step's result depends on, as a short hash that lies beside it.

A step whose result is there with the same hash is skipped; one with another hash is not replaced.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryo_pick.errors import ConfigError
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleTypes
from cryo_pick.pipeline.dataset import DataRun
from cryo_pick.weights import load_network
from detector.settings import DetectorTrainSettings
from refiner.settings import RefinerSettings

logger = logging.getLogger(__name__)

_NOT_LEARNT = ("logger", "checkpoint_every_s", "accelerator", "watch", "folds_at_once")


def identity_of(*parts: Any) -> str:
    """Short hash of settings and runs; classes count with their radii, not their colours."""

    def plain(value: Any) -> Any:
        if isinstance(value, DetectorTrainSettings | RefinerSettings):
            return _learnt_from(asdict(value))
        if isinstance(value, ParticleTypes):
            return [(t.name, t.radius) for t in value]
        if hasattr(value, "__dataclass_fields__"):
            return asdict(value)
        return value

    text = json.dumps([plain(p) for p in parts], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def judged_places(runs: Sequence[DataRun]) -> list[Any]:
    """What a person judged, as a part of a training's identity; empty where nobody did."""
    return [[r.name, r.reviewed.tolist(), len(r.truth)] for r in runs if len(r.reviewed)]


def is_done(weights: Path, package: str, identity: str) -> bool:
    """Whether the weights of a training of that identity are there, named without their ending.

    Raises
    ------
    ConfigError
        If those of another training are.
    """
    if not weights.with_suffix(".safetensors").is_file():
        return False
    spec: NetworkSpec = load_network(weights, package)[1]
    if spec.extra.get("identity") == identity:
        logger.info("%s is there; skipped", weights)
        return True
    raise ConfigError(
        f"{weights}.safetensors is of a training with other settings or data; "
        "choose another --out or delete it"
    )


def _learnt_from(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a training without those that change nothing about the weights."""
    optimizer = {k: v for k, v in settings["optimizer"].items() if k not in _NOT_LEARNT}
    rest = {k: v for k, v in settings.items() if k not in _NOT_LEARNT}
    return {**rest, "optimizer": optimizer}

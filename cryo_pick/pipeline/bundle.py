"""A bundle: the directory that `predict` needs nothing beside.

bundle.json says everything but the weights, which are safetensors files beside YAML descriptions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import InputError, raise_all
from cryo_pick.files import write_text_atomic
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.pipeline.bundle_fields import STAGES, bundle_problems
from metrics.thresholds import ThresholdChoice
from refiner.blend import Blend

FORMAT = 1
FILE = "bundle.json"
MAX_PROBLEMS = 10
"""Problems of one bundle that are listed."""
MAX_BYTES = 2**26
"""Of a bundle.json; the largest ones have a hundredth of it."""


@dataclass(frozen=True)
class StageFit:
    """What was fitted for one stage or for both together.

    Attributes
    ----------
    blend
        How scores are made.
    thresholds
        One per class, with its plateau.
    intervals
        Bootstrap interval over runs of each threshold.
    curves
        Per class: thresholds and F-beta, thinned for drawing.
    f4
        Scores on the out-of-fold candidates: nested with its interval, and optimistic.
    """

    blend: Blend
    thresholds: tuple[ThresholdChoice, ...]
    intervals: tuple[tuple[float, float], ...]
    curves: tuple[dict[str, list[float]], ...]
    f4: dict[str, float]

    @property
    def cut(self) -> NDArray[np.float64]:
        """(k,) thresholds; infinity keeps nothing."""
        return np.array([t.threshold for t in self.thresholds])


@dataclass(frozen=True)
class Bundle:
    """What bundle.json holds.

    Attributes
    ----------
    types
    voxel_spacing
        Å, mean over axes, of the data it was trained on.
    tomo_type
    intensity
        Median, scale and quantiles of the training tomograms, mean over runs.
    detectors, refiners
        Paths of the members' weights, relative to the bundle, without ending.
    fits
        By stage: one_stage, and two_stage where there is a refiner.
    candidates, infer, refiner
        Settings that scores and thresholds hold for.
    evidence
        Per class, what the second stage changes: difference of F4 out of fold, interval, whether it
        is used.
    folds
        Fold of each training run.
    versions
    ensemble
        Of an ensemble of trained folders: weight and quantile table of each detector, and the
        quantiles that scores are brought to, null where they stay as they are; else empty.
    """

    types: ParticleTypes
    voxel_spacing: float
    tomo_type: str
    intensity: dict[str, Any]
    detectors: tuple[str, ...]
    refiners: tuple[str, ...]
    fits: dict[str, StageFit]
    candidates: dict[str, Any]
    infer: dict[str, Any]
    refiner: dict[str, Any]
    evidence: dict[str, Any] = field(default_factory=dict)
    folds: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    ensemble: dict[str, Any] = field(default_factory=dict)


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write bundle.json, whole or not at all."""
    values = {"format": FORMAT, **asdict(bundle)}
    values["types"] = [asdict(t) for t in bundle.types]
    values["fits"] = {stage: _fit_to_json(f) for stage, f in bundle.fits.items()}
    write_text_atomic(folder / FILE, json.dumps(values, indent=1, allow_nan=False) + "\n")


def read_bundle(folder: Path) -> Bundle:
    """Read bundle.json.

    Raises
    ------
    InputError
        If it is missing, of another format, or lacks something.
    """
    path = folder / FILE
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected a JSON file, but this is no regular file")
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise InputError(f"{path}: {len(content)} bytes; a bundle has {MAX_BYTES} at most")
        values = json.loads(content)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: no bundle here ({FILE} is missing); make one with: "
            f"cryo-pick train PROJECT --out {folder}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        got = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise InputError(f"{path}: expected a bundle of format {FORMAT}, but got {got!r:.40}")
    raise_all(bundle_problems(values)[:MAX_PROBLEMS], InputError, f"{path}: damaged bundle")
    try:
        return _bundle(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged bundle: {error} ({type(error).__name__})") from error


def _bundle(values: Mapping[str, Any]) -> Bundle:
    types = ParticleTypes(
        tuple(
            ParticleType(t["name"], t["label"], t["radius"], t["weight"], tuple(t["color"]))
            for t in values["types"]
        )
    )
    members = {key: tuple(_inside(m) for m in values[key]) for key in ("detectors", "refiners")}
    return Bundle(
        types=types,
        voxel_spacing=float(values["voxel_spacing"]),
        tomo_type=str(values["tomo_type"]),
        intensity=dict(values["intensity"]),
        detectors=members["detectors"],
        refiners=members["refiners"],
        fits={
            stage: _fit_from_json(values["fits"][stage])
            for stage in STAGES
            if stage in values["fits"]
        },
        candidates=dict(values["candidates"]),
        infer=dict(values["infer"]),
        refiner=dict(values["refiner"]),
        evidence=dict(values["evidence"]),
        folds={str(k): int(v) for k, v in values["folds"].items()},
        versions={str(k): str(v) for k, v in values["versions"].items()},
        ensemble=_ensemble(values.get("ensemble") or {}, len(types)),
    )


def _ensemble(values: Mapping[str, Any], k: int) -> dict[str, Any]:
    """What is said about the members of an ensemble; ValueError if a table can't be used."""
    if not values:
        return {}
    reference, members = values["reference"], dict(values["members"])
    tables = [reference, *(m["table"] for m in members.values())]
    if reference is None:  # scores stay as they are, and tables may be missing
        tables = [t for t in tables if t is not None]
    shape = (k, len(values["levels"]))
    if any(np.array(t, np.float64).shape != shape for t in tables):
        raise ValueError(f"expected quantile tables of {shape[0]} classes and {shape[1]} ranks")
    if not all(float(m["weight"]) > 0 for m in members.values()):
        raise ValueError("expected weights of members above 0")
    return dict(values) | {"members": members}


def _inside(member: Any) -> str:
    """A member's path, which may not lead out of the bundle."""
    path = Path(str(member))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"member {member!r} lies outside the bundle")
    return str(path)


def _fit_to_json(fit: StageFit) -> dict[str, Any]:
    return {
        "blend": {name: getattr(fit.blend, name).tolist() for name in ("stage1", "stage2", "bias")},
        "thresholds": [t.to_json() for t in fit.thresholds],
        "intervals": [[x if math.isfinite(x) else None for x in pair] for pair in fit.intervals],
        "curves": list(fit.curves),
        "f4": fit.f4,
    }


def _fit_from_json(values: Mapping[str, Any]) -> StageFit:
    arrays = [np.array(values["blend"][name], np.float64) for name in ("stage1", "stage2", "bias")]
    thresholds = tuple(ThresholdChoice.from_json(t) for t in values["thresholds"])
    intervals = tuple(
        (math.inf if a is None else float(a), math.inf if b is None else float(b))
        for a, b in values["intervals"]
    )
    return StageFit(
        Blend(*arrays), thresholds, intervals, tuple(values["curves"]), dict(values["f4"])
    )

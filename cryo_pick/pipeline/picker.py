"""A bundle made ready to pick: what it says and what is asked for, then its networks."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cryo_pick.buffers import Buffers
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.pipeline.bundle import FILE, Bundle, read_bundle
from cryo_pick.pipeline.members import bundle_members, detectors_to_run, ensemble_engines
from detector.engine import Engine, make_engine, precision_in_force
from detector.members import at_heatmap_stride
from detector.settings import CandidatesSettings, InferSettings
from refiner.engine import PatchEngine, make_patch_engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PickerPlan:
    """What a bundle and the settings say, before anything is loaded onto a device.

    Attributes
    ----------
    folder
        Of the bundle.
    bundle
    two_stage
        Whether candidates are refined.
    infer, candidates
        Settings in force: the bundle's, with what the user changed.
    fingerprint
        Of weights and settings; part of what makes a result worth keeping.
    """

    folder: Path
    bundle: Bundle
    two_stage: bool
    infer: InferSettings
    candidates: CandidatesSettings
    fingerprint: str

    @property
    def stage(self) -> str:
        """one_stage or two_stage."""
        return "two_stage" if self.two_stage else "one_stage"


@dataclass(frozen=True)
class Picker(PickerPlan):
    """A bundle, loaded and ready to pick.

    Attributes
    ----------
    engines
        Detectors.
    refiners
        Empty for one stage.
    buffers
        Memory that one tomogram after the other is picked in.
    """

    engines: tuple[Engine, ...]
    refiners: tuple[PatchEngine, ...]
    buffers: Buffers = field(default_factory=Buffers, compare=False, repr=False)


def plan_picker(
    folder: Path,
    two_stage: bool | None,
    infer: InferSettings,
    candidates: CandidatesSettings,
) -> PickerPlan:
    """Read a bundle and see that its weights are whole.

    Parameters
    ----------
    folder
    two_stage
        None: as the bundle can.
    infer
        How to run the detectors.
    candidates
        Used instead of the bundle's where they are not the defaults.

    Raises
    ------
    ConfigError
        If two stages are asked for and the bundle has one.
    InputError
        If the bundle is incomplete or damaged.
    """
    bundle = read_bundle(folder)
    if two_stage and not (bundle.refiners and "two_stage" in bundle.fits):
        raise ConfigError(f"{folder}: this bundle has no refiner; use --one-stage")
    use_refiners = bool(bundle.refiners) and "two_stage" in bundle.fits and two_stage is not False
    infer = _as_fitted(infer, bundle.infer)
    chosen = _candidate_settings(bundle, candidates)
    for members in bundle_members(folder, bundle):
        for member in members:
            member.built_stride()
    settings = [asdict(infer) | {"memory": ""}, asdict(chosen), use_refiners]
    text = json.dumps(settings, sort_keys=True).encode()
    fingerprint = f"{_weights_digest(folder, bundle)}-{_digest([text])}"
    return PickerPlan(folder, bundle, use_refiners, infer, chosen, fingerprint)


def _as_fitted(infer: InferSettings, fitted: Mapping[str, Any]) -> InferSettings:
    """What to run with: what is asked for, else what the bundle's scores were made with."""
    if infer.tile is None and infer.depth is None:
        overlap = fitted.get("overlap") if infer.overlap is None else infer.overlap
        infer = replace(infer, tile=fitted.get("tile"), overlap=overlap)
    return replace(
        infer,
        views=infer.views or int(fitted.get("views") or 1),
        depth=infer.depth or fitted.get("depth"),
    )


def _weights_digest(folder: Path, bundle: Bundle) -> str:
    members = (*bundle.detectors, *bundle.refiners)
    names = (FILE, *(f"{m}{end}" for m in members for end in (".yaml", ".safetensors")))
    return _digest((folder / name).read_bytes() for name in names)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def load_picker(
    folder: Path,
    two_stage: bool | None,
    infer: InferSettings,
    candidates: CandidatesSettings,
) -> Picker:
    """Plan and load in one step; see :func:`plan_picker` and :func:`load_planned`."""
    return load_planned(plan_picker(folder, two_stage, infer, candidates))


def load_planned(plan: PickerPlan) -> Picker:
    """Load a bundle's weights, ready to run on this machine as the settings say.

    Raises
    ------
    ConfigError
        If this machine can't do what they ask for.
    InputError
        If a file of the bundle is damaged, or changed since the plan was made.
    """
    if not plan.fingerprint.startswith(_weights_digest(plan.folder, plan.bundle)):
        raise InputError(f"{plan.folder}: this bundle was changed meanwhile; start again")
    bundle, infer = plan.bundle, plan.infer
    members, patch_members = bundle_members(plan.folder, bundle)
    detectors = detectors_to_run(members, bundle)
    known = all(d.int8_ranges for d in detectors)
    fitted, now = bundle.infer.get("fitted_precision"), precision_in_force(infer, known)
    if fitted not in (None, now):
        logger.warning(
            "the thresholds were fitted on scores computed in %s, these are computed in %s",
            fitted,
            now,
        )
    engines = [
        at_heatmap_stride(make_engine(d.source, infer, d.output_stride, ranges=d.int8_ranges))
        for d in detectors
    ]
    engines = ensemble_engines(engines, bundle)
    stride, k = engines[0].output_stride, len(bundle.types)
    refiners = [
        make_patch_engine(m.source, infer, k, m.spec.patch, stride)
        for m in (patch_members if plan.two_stage else ())
    ]
    planned = {f.name: getattr(plan, f.name) for f in fields(PickerPlan)}
    return Picker(**planned, engines=tuple(engines), refiners=tuple(refiners))


def _candidate_settings(bundle: Bundle, asked: CandidatesSettings) -> CandidatesSettings:
    """The bundle's, unless the user asked for others; then the thresholds may not hold."""
    fitted = CandidatesSettings(**bundle.candidates)
    if asked in (fitted, CandidatesSettings()):
        return fitted
    logger.warning("candidates are searched otherwise than when the thresholds were fitted")
    return asked

"""`cryo-pick predict`: a bundle and tomograms in, candidates and picks out, run by run.

Each run's result is written whole before the next one starts, and a run whose input, bundle and
settings are those of a result that is there is skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick.buffers import Buffers
from cryo_pick.cache import file_key
from cryo_pick.candidates import Candidates
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import remove_temporaries, write_text_atomic
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates
from cryo_pick.formats.inputs import InputRun
from cryo_pick.memory import parse_memory
from cryo_pick.normalized import NormalizedVolume
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import FILE, Bundle, read_bundle
from cryo_pick.pipeline.dataset import SAME_SPACING
from cryo_pick.pipeline.fallback import pick_within_memory
from cryo_pick.pipeline.fit import FLOOR
from cryo_pick.pipeline.guards import warnings_of
from cryo_pick.pipeline.heatmaps import stream_candidates
from cryo_pick.pipeline.members import bundle_members, detectors_to_run, ensemble_engines
from cryo_pick.pipeline.reading import checked_statistics, opened_within
from cryo_pick.pipeline.surprises import surprises
from cryo_pick.resample import resample
from cryo_pick.tomogram import Tomogram
from detector.engine import Engine, make_engine, precision_in_force
from detector.members import at_heatmap_stride
from detector.settings import CandidatesSettings, InferSettings
from metrics.thresholds import cut
from refiner.blend import scored_picks
from refiner.engine import PatchEngine, make_patch_engine
from refiner.score import BLOCK_MEMORY, score_candidates

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


@dataclass(frozen=True)
class RunResult:
    """What became of one run."""

    run: str
    picks: Picks
    n_candidates: int
    seconds: float
    skipped: bool
    warnings: tuple[str, ...]


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


def pick_tomogram(
    tomogram: Tomogram, picker: Picker, folder: Path | None = None
) -> tuple[Candidates, list[str]]:
    """Candidates of one tomogram, scored by every stage of the picker, and what to warn of.

    Where the tomogram is large beside `infer.memory`, it is decoded into a file and read piece by
    piece; its heatmap lies in a file.

    Parameters
    ----------
    tomogram, picker
    folder
        On whose disk they lie for a while; None: the system's folder for temporary files.

    Raises
    ------
    InputError
        If the volume can't be used, or its voxel spacing is too far from the bundle's.
    """
    reading = opened_within(tomogram, picker.infer.memory, folder, picker.buffers)
    with reading as (opened, memory):
        statistics = checked_statistics(opened)
        warnings = warnings_of(opened, statistics, picker.bundle.intensity, picker.bundle.tomo_type)
        opened = _at_spacing(opened, picker.bundle.voxel_spacing, warnings)
        normalised = replace(opened, volume=NormalizedVolume(opened.volume, statistics))
        infer = replace(picker.infer, memory=memory)
        with stream_candidates(
            normalised,
            picker.engines,
            picker.bundle.types,
            infer,
            picker.candidates,
            folder,
            picker.buffers,
        ) as (heatmap, found):
            if picker.refiners:
                found = score_candidates(
                    found,
                    normalised.volume,
                    heatmap,
                    picker.engines[0].output_stride,
                    opened.voxel_spacing,
                    opened.origin,
                    picker.refiners,
                    memory=min(BLOCK_MEMORY, parse_memory(memory) / 12),
                    **picker.bundle.refiner,
                )
    return found, warnings


def _at_spacing(tomogram: Tomogram, voxel_spacing: float, warnings: list[str]) -> Tomogram:
    """The tomogram at the bundle's voxel spacing, in Å; a line for `warnings` where it is changed.

    Raises
    ------
    InputError
        If the spacings are too far apart.
    """
    spacing = np.array(tomogram.voxel_spacing)
    if (np.abs(spacing / voxel_spacing - 1) <= SAME_SPACING).all():
        return tomogram
    warnings.append(
        f"voxel spacing {spacing.mean():.3f} Å, the bundle's is {voxel_spacing:.3f} Å: resampled"
    )
    try:
        return resample(tomogram, voxel_spacing)
    except ValueError as error:
        raise InputError(
            f"run {tomogram.run!r}: {error}; bin it first, or use another bundle"
        ) from error


def picks_of(candidates: Candidates, bundle: Bundle, stage: str) -> Picks:
    """The picks above the bundle's thresholds."""
    fit = bundle.fits[stage]
    floor = min(FLOOR, float(fit.cut.min(initial=FLOOR)))
    return cut(scored_picks(candidates, fit.blend, bundle.types, floor), fit.cut)


def predict_run(source: InputRun, picker: Picker, folder: Path, overwrite: bool) -> RunResult:
    """Pick one run and write `folder`/candidates.npz, or read it where it is up to date.

    Raises
    ------
    InputError
        If the run's tomogram can't be used.
    """
    started = time.monotonic()
    remove_temporaries(folder)  # of a worker that was killed; the lock of the run is ours
    tomogram = source.open()
    place = [tomogram.voxel_spacing, tomogram.origin]
    path = folder / "candidates.npz"
    # Before it is read: a tomogram that changes meanwhile is picked again next time.
    key = f"{picker.fingerprint}:{file_key(tomogram)}:{place}"
    if not overwrite and path.is_file():
        kept = _kept_result(source, picker, path, key)
        if kept is not None:
            return kept
    folder.mkdir(parents=True, exist_ok=True)
    (candidates, found), steps = pick_within_memory(
        lambda p: pick_tomogram(tomogram, p, folder), picker, load_planned
    )
    picks = picks_of(candidates, picker.bundle, picker.stage)
    bundle = picker.bundle
    fit = bundle.fits[picker.stage]
    found += steps
    found += surprises(candidates, picks, tomogram, bundle.types, fit, bundle.evidence)
    seconds = time.monotonic() - started
    metadata = {
        "key": key,
        "stage": picker.stage,
        "seconds": round(seconds, 2),
        "warnings": found,
        "source": source.path,
        "shape": list(tomogram.shape),
        "voxel_spacing": list(tomogram.voxel_spacing),
        "origin": list(tomogram.origin),
    }
    write_candidates(path, candidates, picker.bundle.types.names, metadata)
    return RunResult(source.run, picks, len(candidates), seconds, False, tuple(found))


def _kept_result(source: InputRun, picker: Picker, path: Path, key: str) -> RunResult | None:
    """The result in `path` if it is of this input and this picker, else None."""
    try:
        file = read_candidates(path)
    except InputError as error:
        logger.warning("%s; picking again", error)
        return None
    if file.metadata.get("key") != key:
        return None
    picks = picks_of(file.candidates, picker.bundle, picker.stage)
    warnings = tuple(file.metadata.get("warnings", ()))
    return RunResult(source.run, picks, len(file.candidates), 0.0, True, warnings)


def keep_bundle_beside(bundle_folder: Path, out: Path) -> None:
    """Copy bundle.json, so that candidates can be cut again without the bundle."""
    write_text_atomic(out / FILE, (bundle_folder / FILE).read_text(encoding="utf-8"))


def recut(
    folder: Path, stage: str | None, changed: Mapping[str, float]
) -> tuple[dict[str, Picks], Bundle]:
    """Picks of a `predict` folder at the bundle's thresholds or at others, without any network.

    Parameters
    ----------
    folder
    stage
        None: the one that the candidates were scored by.
    changed
        Thresholds by class name that replace the bundle's.

    Raises
    ------
    InputError
        If the folder holds no candidates.
    ConfigError
        If a class is unknown, or stage two is asked for and was not run.
    """
    bundle = read_bundle(folder)
    files = sorted((folder / "runs").glob("*/candidates.npz"))
    if not files:
        raise InputError(
            f"{folder}: no runs/*/candidates.npz here; give a folder that `cryo-pick predict` wrote"
        )
    unknown = sorted(set(changed) - set(bundle.types.names))
    if unknown:
        raise ConfigError(
            f"threshold of unknown class {', '.join(unknown)}; "
            f"known: {', '.join(bundle.types.names)}"
        )
    result: dict[str, Picks] = {}
    for path in files:
        file = read_candidates(path)
        ran = "two_stage" if file.candidates.stage2 is not None else "one_stage"
        if stage == "two_stage" and ran == "one_stage":
            raise ConfigError(
                f"{path}: these candidates were not refined; predict with --two-stage first"
            )
        fit = bundle.fits[stage or ran]
        cuts = [
            changed.get(n, t) for n, t in zip(bundle.types.names, fit.cut.tolist(), strict=True)
        ]
        floor = min([FLOOR, *(c for c in cuts if np.isfinite(c))])
        result[path.parent.name] = cut(
            scored_picks(file.candidates, fit.blend, bundle.types, floor), cuts
        )
    return result, bundle


def class_counts(results: Sequence[RunResult], bundle: Bundle) -> dict[str, int]:
    """Picks of each class over all runs."""
    return {
        t.name: int(sum((r.picks.classes == i).sum() for r in results))
        for i, t in enumerate(bundle.types)
    }

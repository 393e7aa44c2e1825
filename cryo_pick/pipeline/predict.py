"""`cryo-pick predict`: a bundle and tomograms in, candidates and picks out, run by run.

Each run's result is written whole before the next one starts, and a run whose input, bundle and
settings are those of a result that is there is skipped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryo_pick.cache import file_key
from cryo_pick.candidates import Candidates
from cryo_pick.errors import InputError
from cryo_pick.files import remove_temporaries
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates
from cryo_pick.formats.inputs import InputRun
from cryo_pick.memory import parse_memory
from cryo_pick.normalized import NormalizedVolume
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.dataset import SAME_SPACING
from cryo_pick.pipeline.fallback import pick_within_memory
from cryo_pick.pipeline.fit import FLOOR
from cryo_pick.pipeline.guards import warnings_of
from cryo_pick.pipeline.heatmaps import stream_candidates
from cryo_pick.pipeline.picker import Picker, load_planned
from cryo_pick.pipeline.reading import checked_statistics, opened_within
from cryo_pick.pipeline.surprises import surprises
from cryo_pick.resample import resample
from cryo_pick.tomogram import Tomogram
from metrics.thresholds import cut
from refiner.blend import scored_picks
from refiner.score import BLOCK_MEMORY, score_candidates

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What became of one run."""

    run: str
    picks: Picks
    n_candidates: int
    seconds: float
    skipped: bool
    warnings: tuple[str, ...]


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


def class_counts(results: Sequence[RunResult], bundle: Bundle) -> dict[str, int]:
    """Picks of each class over all runs."""
    return {
        t.name: int(sum((r.picks.classes == i).sum() for r in results))
        for i, t in enumerate(bundle.types)
    }

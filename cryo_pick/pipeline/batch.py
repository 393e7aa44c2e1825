"""Prediction of many runs: one bad tomogram never stops the others."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config
from cryo_pick.errors import ConfigError, InputError, raise_all
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.copick import OWN_USER, open_project
from cryo_pick.formats.inputs import InputRun, find_inputs
from cryo_pick.formats.picks_csv import write_csv
from cryo_pick.logs import duration, progress
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.output import write_picks_file
from cryo_pick.pipeline.predict import (
    Picker,
    RunResult,
    class_counts,
    keep_bundle_beside,
    load_picker,
    predict_run,
)
from cryo_pick.pipeline.tables import print_counts
from refiner.blend import blended_scores

logger = logging.getLogger(__name__)

OWN_SESSION = "0"


def show_plan(inputs: Sequence[str], model: Path, config: Config, folder: Path) -> None:
    """What `--dry-run` prints: each run, its size and spacing, and what is done already."""
    bundle = read_bundle(model)
    table = Table(
        title=f"{len(bundle.types)} classes, {bundle.voxel_spacing:.3f} Å per voxel in the bundle"
    )
    for heading in ("run", "voxels z y x", "Å per voxel", "result"):
        table.add_column(heading)
    for source in find_inputs(inputs, config.data):
        try:
            t = source.open()
            row = [" ".join(map(str, t.shape)), f"{sum(t.voxel_spacing) / 3:.3f}"]
        except InputError as error:
            row = [str(error), ""]
        there = (folder / "runs" / source.run / "candidates.npz").is_file()
        table.add_row(source.run, *row, "there; skipped if up to date" if there else "to do")
    Console().print(table)


def predict_batch(
    inputs: Sequence[str],
    model: Path,
    config: Config,
    folder: Path,
    file: Path,
    *,
    two_stage: bool | None,
    overwrite: bool,
    copick: bool,
) -> dict[str, Any]:
    """Pick every run into `folder`/runs and write all picks to `file`; the summary.

    Raises
    ------
    InputError
        If nothing can be picked at all.
    """
    sources = find_inputs(inputs, config.data)
    project = open_project(inputs[0]) if copick else None
    picker = load_picker(model, two_stage, config.infer, config.candidates)
    if project is not None and project.types.names != picker.bundle.types.names:
        raise ConfigError(
            f"--copick: the project's objects are {', '.join(project.types.names)}, the bundle's "
            f"classes {', '.join(picker.bundle.types.names)}; the picks can't be written into it"
        )
    if project is not None:
        for source in sources:
            project.picks_folder(source.run)  # now, and not after hours of picking
    keep_bundle_beside(model, folder)
    results, failed = _pick_all(sources, picker, folder, overwrite)
    if not results:
        raise_all(
            [f"{run}: {why}" for run, why in failed.items()], InputError, "no run could be picked"
        )
    picks = {r.run: r.picks for r in results}
    write_csv(folder / "picks.csv", picks, picker.bundle.types)
    if file != folder / "picks.csv":
        write_picks_file(file, picks, picker.bundle.types, folder)
    if project is not None:
        for run, found in picks.items():
            project.write_picks(run, found, OWN_USER, OWN_SESSION)
    _explain_nothing(results, picker, folder)
    counts = class_counts(results, picker.bundle)
    new = [r.seconds for r in results if not r.skipped]
    print_counts(f"picks in {len(results)} runs, {picker.stage.replace('_', ' ')}", counts)
    if new:
        logger.info(
            "%d runs in %s, %s each", len(new), duration(sum(new)), duration(sum(new) / len(new))
        )
    return {
        "stage": picker.stage,
        "picks": counts,
        "runs": {r.run: _run_summary(r) for r in results},
        "failed": failed,
    }


def _run_summary(result: RunResult) -> dict[str, Any]:
    return {
        "picks": len(result.picks),
        "candidates": result.n_candidates,
        "seconds": round(result.seconds, 2),
        "skipped": result.skipped,
        "warnings": list(result.warnings),
    }


def _pick_all(
    sources: Sequence[InputRun], picker: Picker, folder: Path, overwrite: bool
) -> tuple[list[RunResult], dict[str, str]]:
    results: list[RunResult] = []
    failed: dict[str, str] = {}
    with progress("Picking", len(sources), "runs") as advance:
        for source in sources:
            try:
                result = predict_run(source, picker, folder / "runs" / source.run, overwrite)
            except InputError as error:
                logger.error("%s: %s", source.run, error)
                failed[source.run] = str(error)
            else:
                results.append(result)
                for warning in result.warnings:
                    logger.warning("%s: %s", source.run, warning)
                done = "there already" if result.skipped else duration(result.seconds)
                logger.info(
                    "%s: %d picks of %d candidates, %s",
                    source.run,
                    len(result.picks),
                    result.n_candidates,
                    done,
                )
            advance(1)
    return results, failed


def _explain_nothing(results: Sequence[RunResult], picker: Picker, folder: Path) -> None:
    """Say why a run has no picks at all: how far its best candidates are below the thresholds."""
    fit = picker.bundle.fits[picker.stage]
    for result in results:
        if len(result.picks):
            continue
        found: Candidates = read_candidates(
            folder / "runs" / result.run / "candidates.npz"
        ).candidates
        if not len(found):
            logger.warning(
                "%s: nothing found, not even a candidate: is the contrast inverted, the voxel "
                "spacing wrong, the volume empty?",
                result.run,
            )
            continue
        best = blended_scores(found, fit.blend).max(0)
        near = [
            f"{t.name} {best[i]:.3f} (threshold {c:.3f})"
            for i, (t, c) in enumerate(zip(picker.bundle.types, fit.cut.tolist(), strict=True))
            if math.isfinite(c)
        ]
        logger.warning(
            "%s: nothing above the thresholds; best scores: %s", result.run, ", ".join(near)
        )

"""What `predict` says before and after: its plan, and why a run has no picks."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cryo_pick.cluster import job_script
from cryo_pick.config import Config
from cryo_pick.errors import InputError
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.logs import duration
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.ledger import DONE, run_folder
from cryo_pick.pipeline.one_run import Failure
from cryo_pick.pipeline.picker import PickerPlan
from cryo_pick.pipeline.predict import RunResult, class_counts
from cryo_pick.pipeline.tables import print_counts
from refiner.blend import blended_scores

logger = logging.getLogger(__name__)


def show_plan(inputs: Sequence[str], model: Path, config: Config, folder: Path) -> dict[str, Any]:
    """Print each run, its size and spacing, and what is done already; the same as plain values."""
    bundle = read_bundle(model)
    table = Table(
        title=f"{len(bundle.types)} classes, {bundle.voxel_spacing:.3f} Å per voxel in the bundle"
    )
    for heading in ("run", "voxels z y x", "Å per voxel", "result"):
        table.add_column(heading)
    runs: dict[str, Any] = {}
    for source in find_inputs(inputs, config.data):
        try:
            t = source.open()
            row = [" ".join(map(str, t.shape)), f"{sum(t.voxel_spacing) / 3:.3f}"]
            found: dict[str, Any] = {"shape": t.shape, "voxel_spacing": t.voxel_spacing}
        except InputError as error:
            row, found = [str(error), ""], {"error": str(error)}
        there = (run_folder(folder, source.run) / DONE).is_file()
        table.add_row(source.run, *row, "there; skipped if up to date" if there else "to do")
        runs[source.run] = {"path": source.path, **found, "done": there}
    Console().print(table)
    if config.cluster.kind in ("slurm", "pbs"):
        print(f"{config.cluster.workers} jobs such as:\n")
        print(job_script(config.cluster, folder), end="")
    return {"folder": folder, "runs": runs}


def log_outcome(outcome: RunResult | Failure) -> None:
    """Log what became of a run."""
    if isinstance(outcome, Failure):
        logger.error("%s: %s", outcome.run, outcome.message)
        if outcome.trace:
            logger.debug("%s", outcome.trace)
        return
    for warning in outcome.warnings:
        logger.warning("%s: %s", outcome.run, warning)
    logger.info(
        "%s: %d picks of %d candidates, %s",
        outcome.run,
        len(outcome.picks),
        outcome.n_candidates,
        "there already" if outcome.skipped else duration(outcome.seconds),
    )


def print_results(results: Sequence[RunResult], plan: PickerPlan, folder: Path) -> None:
    """Print what was found, class by class, and say why a run has nothing."""
    _explain_nothing(results, plan, folder)
    counts = class_counts(results, plan.bundle)
    print_counts(f"picks in {len(results)} runs, {plan.stage.replace('_', ' ')}", counts)
    new = [r.seconds for r in results if not r.skipped]
    if new:
        logger.info(
            "%d runs in %s, %s each", len(new), duration(sum(new)), duration(sum(new) / len(new))
        )


def _explain_nothing(results: Sequence[RunResult], plan: PickerPlan, folder: Path) -> None:
    """Say why a run has no picks at all: how far its best candidates are below the thresholds."""
    fit = plan.bundle.fits[plan.stage]
    for result in results:
        if len(result.picks):
            continue
        found = read_candidates(run_folder(folder, result.run) / DONE).candidates
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
            for i, (t, c) in enumerate(zip(plan.bundle.types, fit.cut.tolist(), strict=True))
            if math.isfinite(c)
        ]
        logger.warning(
            "%s: nothing above the thresholds; best scores: %s", result.run, ", ".join(near)
        )

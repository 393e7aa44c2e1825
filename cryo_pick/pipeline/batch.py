"""Prediction of many runs: one bad tomogram never stops the others."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryo_pick.config import Config
from cryo_pick.errors import (
    ConfigError,
    CryoPickError,
    InputError,
    OutOfMemory,
    PartialFailure,
    raise_all,
)
from cryo_pick.formats.copick import OWN_USER, CopickProject, open_project
from cryo_pick.formats.inputs import InputRun, find_inputs
from cryo_pick.formats.location import Location
from cryo_pick.formats.picks_csv import write_csv
from cryo_pick.locks import Locks
from cryo_pick.logs import progress
from cryo_pick.pipeline.ledger import run_folder, write_plan
from cryo_pick.pipeline.one_run import Failure, RunTask
from cryo_pick.pipeline.output import write_picks_file
from cryo_pick.pipeline.picker import PickerPlan, plan_picker
from cryo_pick.pipeline.pools import open_pool
from cryo_pick.pipeline.predict import RunResult, class_counts
from cryo_pick.pipeline.preview import log_outcome, print_results
from cryo_pick.pipeline.recut import keep_bundle_beside
from cryo_pick.pipeline.work import work_through

OWN_SESSION = "0"


@dataclass(frozen=True)
class Batch:
    """What is to be picked, looked at and found usable.

    Attributes
    ----------
    sources
    plan
        Of the picker.
    project
        That the picks are written into too; None: no.
    """

    sources: tuple[InputRun, ...]
    plan: PickerPlan
    project: CopickProject | None


def prepare_batch(
    inputs: Sequence[str],
    model: Path,
    config: Config,
    *,
    two_stage: bool | None = None,
    copick: bool = False,
    none_yet: bool = False,
) -> Batch:
    """Look at inputs and bundle before anything is written.

    Parameters
    ----------
    inputs, model, config
    two_stage
        None: as the bundle can.
    copick
        Write the picks into the project that is the first input.
    none_yet
        Whether it is fine that the inputs are there but hold no run.

    Raises
    ------
    InputError
        If there is nothing to pick, or the bundle is damaged.
    ConfigError
        If bundle, project and settings don't go together.
    """
    try:
        sources = find_inputs(inputs, config.data)
    except InputError:
        if not none_yet or not all(Location.of(path).exists() for path in inputs):
            raise
        sources = []
    project = open_project(inputs[0]) if copick else None
    plan = plan_picker(model, two_stage, config.infer, config.candidates)
    if project is not None and project.types.names != plan.bundle.types.names:
        raise ConfigError(
            f"--copick: the project's objects are {', '.join(project.types.names)}, the bundle's "
            f"classes {', '.join(plan.bundle.types.names)}; the picks can't be written into it"
        )
    if project is not None:
        for source in sources:
            project.picks_folder(source.run)  # now, and not after hours of picking
    return Batch(tuple(sources), plan, project)


def predict_batch(
    batch: Batch, config: Config, folder: Path, file: Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """Pick every run into `folder`/runs and write all picks to `file`; the summary.

    Raises
    ------
    ConfigError
        If the settings can't be used on this machine or on the cluster.
    """
    with closing(
        predict_rounds(batch, [batch.sources], config, folder, file, overwrite=overwrite)
    ) as rounds:
        return next(rounds)


def predict_rounds(
    batch: Batch,
    rounds: Iterable[Sequence[InputRun]],
    config: Config,
    folder: Path,
    file: Path,
    *,
    overwrite: bool = False,
) -> Generator[dict[str, Any]]:
    """The same for runs that come in several rounds; the summary of all so far after each.

    Raises
    ------
    ConfigError
        If the settings can't be used on this machine or on the cluster.
    """
    plan = batch.plan
    keep_bundle_beside(plan.folder, folder)
    results: dict[str, RunResult] = {}
    failed: dict[str, Failure] = {}
    with open_pool(config.cluster, plan, folder) as pool, Locks(folder / "runs") as locks:
        for sources in rounds:
            known = dict.fromkeys([*results, *failed, *(s.run for s in sources)])
            write_plan(folder, known, plan.fingerprint)
            tasks = [RunTask(s, plan, run_folder(folder, s.run), overwrite) for s in sources]
            with progress("Picking", len(tasks), "runs") as advance:
                for task, outcome in work_through(tasks, pool, locks):
                    log_outcome(outcome)
                    if isinstance(outcome, Failure):
                        failed[task.run] = outcome
                    else:
                        results[task.run] = outcome
                    advance(1)
            in_order = [results[run] for run in known if run in results]
            if in_order:
                _write_picks(in_order, batch, folder, file)
                print_results(in_order, plan, folder)
            yield _summary(in_order, failed, plan)


def raise_failures(summary: Mapping[str, Any]) -> None:
    """Raise what a command ends with, by its summary; do nothing if every run was done.

    Raises
    ------
    OutOfMemory
        If memory is all that was missing.
    PartialFailure
        If some runs failed.
    InputError
        If all did.
    """
    failed: Mapping[str, str] = summary["failed"]
    kind: type[CryoPickError] = PartialFailure if summary["runs"] else InputError
    if set(failed) == set(summary["out_of_memory"]):
        kind = OutOfMemory
    heading = "runs that failed" if summary["runs"] else "no run could be picked"
    raise_all([f"{run}: {why}" for run, why in failed.items()], kind, heading)


def _write_picks(results: Sequence[RunResult], batch: Batch, folder: Path, file: Path) -> None:
    picks = {r.run: r.picks for r in results}
    types = batch.plan.bundle.types
    try:
        write_csv(folder / "picks.csv", picks, types)
        if file != folder / "picks.csv":
            write_picks_file(file, picks, types, folder)
    except OSError as error:
        raise ConfigError(
            f"{file}: can't be written ({error.strerror or error}); the runs "
            "that are done are kept, run the same command again when there is room"
        ) from error
    if batch.project is not None:
        for run, found in picks.items():
            batch.project.write_picks(run, found, OWN_USER, OWN_SESSION)


def _summary(
    results: Sequence[RunResult], failed: Mapping[str, Failure], plan: PickerPlan
) -> dict[str, Any]:
    return {
        "stage": plan.stage,
        "picks": class_counts(results, plan.bundle),
        "runs": {r.run: _run_summary(r) for r in results},
        "failed": {run: failure.message for run, failure in failed.items()},
        "out_of_memory": [run for run, failure in failed.items() if failure.memory],
    }


def _run_summary(result: RunResult) -> dict[str, Any]:
    return {
        "picks": len(result.picks),
        "candidates": result.n_candidates,
        "seconds": round(result.seconds, 2),
        "skipped": result.skipped,
        "warnings": list(result.warnings),
    }

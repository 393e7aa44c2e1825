"""What is known about the runs of a `predict` folder, from its files alone.

A run's folder holds candidates.npz when it is done, failed.json when it could not be, and a lock
while a process works on it. plan.json says which runs the last command was given.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.candidates_npz import read_metadata
from cryo_pick.locks import lock_holder
from cryo_pick.pipeline.one_run import Failure

PLAN, FAILED, LOCK, DONE = "plan.json", "failed.json", ".lock", "candidates.npz"
STATES = ("done", "running", "failed", "stale", "waiting")


@dataclass(frozen=True)
class RunState:
    """Where a run stands.

    Attributes
    ----------
    state
        One of :data:`STATES`; stale: a process that is gone had it, or its result is of another
        bundle or other settings.
    detail
        In words.
    """

    state: str
    detail: str = ""


def run_folder(folder: Path, run: str) -> Path:
    """Where the files of one run lie."""
    return folder / "runs" / run


def write_plan(folder: Path, runs: Iterable[str], fingerprint: str) -> None:
    """Write down what is to be done."""
    plan = {"fingerprint": fingerprint, "runs": list(runs)}
    write_text_atomic(folder / PLAN, json.dumps(plan, indent=1) + "\n")


def write_failure(folder: Path, failure: Failure) -> None:
    """Write down why a run failed, in its folder."""
    values = {
        "error": failure.message,
        "out_of_memory": failure.memory,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "trace": failure.trace,
    }
    write_text_atomic(folder / FAILED, json.dumps(values, indent=1) + "\n")


def clear_failure(folder: Path) -> None:
    """Forget that a run failed before."""
    (folder / FAILED).unlink(missing_ok=True)


def run_states(folder: Path) -> dict[str, RunState]:
    """Where every run of a folder stands, in the order of the last command.

    Raises
    ------
    InputError
        If it is no folder that `predict` wrote.
    """
    plan = _read_json(folder / PLAN)
    there = sorted(p.name for p in (folder / "runs").glob("*") if p.is_dir())
    if not plan and not there:
        raise InputError(
            f"{folder}: expected a folder that `cryo-pick predict` writes, but there is neither "
            f"{PLAN} nor runs/ in it"
        )
    listed = [str(run) for run in plan.get("runs", [])]
    runs = dict.fromkeys([*listed, *there])
    fingerprint = plan.get("fingerprint")
    return {run: run_state(run_folder(folder, run), fingerprint) for run in runs}


def run_state(folder: Path, fingerprint: str | None) -> RunState:
    """Where one run stands.

    Parameters
    ----------
    folder
        Of the run.
    fingerprint
        Of bundle and settings; None: any result counts.
    """
    lock = lock_holder(folder / LOCK)
    if lock is not None and not lock[1]:
        return RunState("running", f"{lock[0].machine}, process {lock[0].pid}")
    if (folder / FAILED).is_file():
        return RunState("failed", str(_read_json(folder / FAILED).get("error", "")))
    done = _done_state(folder / DONE, fingerprint)
    if done is not None and done.state == "done":
        return done
    if lock is not None:
        return RunState("stale", f"left by {lock[0].machine}, process {lock[0].pid}")
    return done or RunState("waiting")


def count_states(states: Iterable[RunState]) -> dict[str, int]:
    """How many runs are in each state."""
    counted = Counter(s.state for s in states)
    return {state: counted[state] for state in STATES}


def _done_state(path: Path, fingerprint: str | None) -> RunState | None:
    try:
        metadata = read_metadata(path)
    except InputError as error:
        return RunState("stale", str(error)) if path.exists() else None
    if fingerprint is not None and not str(metadata.get("key", "")).startswith(fingerprint):
        return RunState("stale", "of another bundle or other settings")
    return RunState("done", f"{metadata.get('seconds', '?')} s")


def _read_json(path: Path) -> dict[str, Any]:
    """Values of a file that this program wrote; empty where there is none that can be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}

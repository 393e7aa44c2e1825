"""One run as a piece of work that any process can do, and what comes of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from cryo_pick.allocator import give_back_large_blocks
from cryo_pick.errors import ConfigError, CryoPickError
from cryo_pick.formats.inputs import InputRun
from cryo_pick.hardware import set_compute_threads
from cryo_pick.pipeline.fallback import is_out_of_memory
from cryo_pick.pipeline.picker import Picker, PickerPlan, load_planned
from cryo_pick.pipeline.predict import RunResult, predict_run
from cryo_pick.run_folder import usable_cpus


@dataclass(frozen=True)
class RunTask:
    """All that a process needs to pick one run; the process sees the same files.

    Attributes
    ----------
    source
    plan
        Of the picker.
    folder
        Of the results of this run.
    overwrite
        Pick again what is there.
    """

    source: InputRun
    plan: PickerPlan
    folder: Path
    overwrite: bool

    @property
    def run(self) -> str:
        """The run's name."""
        return self.source.run


@dataclass(frozen=True)
class Failure:
    """Why a run has no result.

    Attributes
    ----------
    run
    message
        For people.
    memory
        Whether more memory would have helped.
    trace
        Where a bug is; empty for what a user can act on.
    """

    run: str
    message: str
    memory: bool = False
    trace: str = ""


def do_run(task: RunTask, picker: Picker) -> RunResult | Failure:
    """Pick a run; whatever is wrong with it is told, not raised.

    Raises
    ------
    ConfigError
        If the settings can't be used for any run.
    """
    try:
        return predict_run(task.source, picker, task.folder, task.overwrite)
    except ConfigError:
        raise
    except Exception as error:
        return failure_of(task.run, error)


def do_run_on_worker(task: RunTask, threads: int | None) -> RunResult | Failure:
    """The same on a worker of a cluster, which loads the bundle once.

    Parameters
    ----------
    task
    threads
        None: as many as this machine has cores.

    Raises
    ------
    ConfigError
        If the settings can't be used for any run, or not on this machine.
    """
    give_back_large_blocks()
    set_compute_threads(threads or usable_cpus())
    try:
        picker = _picker_of(task.plan)
    except ConfigError:
        raise
    except Exception as error:
        return failure_of(task.run, error)
    return do_run(task, picker)


_loaded: dict[str, Picker] = {}
"""The last picker of this process; a worker has one bundle at a time in memory."""


def _picker_of(plan: PickerPlan) -> Picker:
    key = f"{plan.fingerprint} {plan.infer}"
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load_planned(plan)
    return _loaded[key]


def failure_of(run: str, error: Exception) -> Failure:
    """What to say of a run that an error ended."""
    text = " ".join(str(error).split()) or type(error).__name__
    if is_out_of_memory(error):
        return Failure(run, text, memory=True)
    if isinstance(error, CryoPickError):
        return Failure(run, str(error))
    if isinstance(error, OSError):
        return Failure(run, f"{type(error).__name__}: {text}")
    trace = "".join(traceback.format_exception(error))
    return Failure(run, f"bug: {type(error).__name__}: {text}", trace=trace)

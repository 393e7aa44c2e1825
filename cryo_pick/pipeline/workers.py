"""Jobs in processes of their own, side by side, each where its slot says."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from cryo_pick.errors import CryoPickError, Preempted
from cryo_pick.logs import logging_to_stderr
from cryo_pick.run_folder import usable_cpus
from cryo_pick.signals import stop_signals

logger = logging.getLogger(__name__)


def run_in_processes(
    jobs: Sequence[Callable[[], None]], slots: Sequence[Mapping[str, str]]
) -> None:
    """Do jobs side by side, as many at a time as there are slots; the cores are shared evenly.

    Parameters
    ----------
    jobs
        Can be pickled.
    slots
        Environment variables of the processes that take this place, such as CUDA_VISIBLE_DEVICES.

    Raises
    ------
    Preempted
        After SIGTERM or SIGUSR1, which the processes are told too: each saves a checkpoint.
    CryoPickError
        If one failed; its own message was shown. The others came to their end.
    """
    context = multiprocessing.get_context("spawn")
    waiting, free = list(jobs), list(range(len(slots)))
    running: dict[int, BaseProcess] = {}
    codes: list[int | None] = []
    threads = str(max(1, usable_cpus() // len(slots)))
    with stop_signals() as stop:
        while running or (waiting and not stop.is_set()):
            while waiting and free and not stop.is_set():
                slot = free.pop(0)
                process: BaseProcess = context.Process(target=_child, args=(waiting.pop(0),))
                with _environment({"OMP_NUM_THREADS": threads, **slots[slot]}):
                    process.start()
                running[slot] = process
            time.sleep(0.05)
            if stop.is_set():
                for process in running.values():
                    process.terminate()
            for slot in [s for s, p in running.items() if not p.is_alive()]:
                codes.append(running.pop(slot).exitcode)
                free.append(slot)
    if stop.is_set() or Preempted.exit_code in codes:
        raise Preempted("stopped by a signal; the same command goes on from there")
    if any(codes):
        raise CryoPickError(f"processes ended with {codes}; their messages say why")


def _child(job: Callable[[], None]) -> None:
    """One process; its exit code is that of a command."""
    with logging_to_stderr():
        try:
            job()
        except CryoPickError as error:
            logger.error("%s", error)
            raise SystemExit(error.exit_code) from None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which a process that is started inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""Runs through a pool: each locked while it is done, tried twice, and written down if it fails."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from cryo_pick.locks import Locks
from cryo_pick.pipeline.ledger import LOCK, clear_failure, write_failure
from cryo_pick.pipeline.one_run import Failure, RunTask, failure_of
from cryo_pick.pipeline.pools import Outcome, Pool

logger = logging.getLogger(__name__)

TRIES = 2
WAIT_S = 2.0
"""Between two looks at the pool, or at runs that another process has."""


def work_through(
    tasks: Iterable[RunTask], pool: Pool, locks: Locks, wait_s: float = WAIT_S
) -> Iterator[tuple[RunTask, Outcome]]:
    """Do every task and yield what came of it, in the order in which they end.

    A run that another process works on is left until that one is done with it or gone; then its
    result is there and read, or it is done here. A run that fails is tried once more after all
    others, and its second failure counts.

    Raises
    ------
    CryoPickError
        If no run can be done at all.
    """
    todo = deque(tasks)
    tries: Counter[str] = Counter()
    waiting_for: set[str] = set()
    busy = 0
    while todo or busy:
        refused: list[tuple[RunTask, Outcome]] = []
        busy += _hand_out(todo, pool, locks, waiting_for, refused)
        yield from refused
        if not busy:
            if todo:
                time.sleep(wait_s)
            continue
        done = pool.done(wait_s)
        if done is None:
            continue
        busy -= 1
        task, outcome = done
        tries[task.run] += 1
        if isinstance(outcome, Failure) and tries[task.run] < TRIES:
            logger.warning("%s: %s; will be tried once more", task.run, outcome.message)
            todo.append(task)
            locks.release(task.folder / LOCK)
            continue
        if isinstance(outcome, Failure):
            _write_down(task, outcome)
        locks.release(task.folder / LOCK)
        yield task, outcome


def _hand_out(
    todo: deque[RunTask],
    pool: Pool,
    locks: Locks,
    waiting_for: set[str],
    refused: list[tuple[RunTask, Outcome]],
) -> int:
    """Give the pool what it has room for and nobody else works on; how many that were.

    A run whose lock can't be written, on a full disk say, is put into `refused`.
    """
    given = 0
    room = pool.room()
    for _ in range(len(todo)):
        if given >= room:
            break
        task = todo.popleft()
        try:
            task.folder.mkdir(parents=True, exist_ok=True)
            mine = locks.take(task.folder / LOCK)
            if mine:
                clear_failure(task.folder)
        except OSError as error:
            refused.append((task, failure_of(task.run, error)))
            continue
        if mine:
            pool.submit(task)
            given += 1
            continue
        if task.run not in waiting_for:
            logger.info("%s: another process works on it; waiting for that", task.run)
            waiting_for.add(task.run)
        todo.append(task)
    return given


def _write_down(task: RunTask, failure: Failure) -> None:
    try:
        write_failure(task.folder, failure)
    except OSError as error:  # a full disk, say, which is what the run may have failed of
        logger.warning("%s: can't write down why it failed: %s", task.run, error)

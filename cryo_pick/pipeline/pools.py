"""Where runs are done: here, one after the other, or on the workers of a Dask cluster."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cryo_pick.allocator import give_back_large_blocks
from cryo_pick.cluster import Cluster, open_cluster
from cryo_pick.errors import CryoPickError
from cryo_pick.pipeline.one_run import Failure, RunTask, do_run, do_run_on_worker
from cryo_pick.pipeline.picker import Picker, PickerPlan, load_planned
from cryo_pick.pipeline.predict import RunResult
from cryo_pick.settings import ClusterSettings

logger = logging.getLogger(__name__)

Outcome = RunResult | Failure
LOOK_AFTER_S = 5.0
"""How often the workers are counted and those that are gone replaced."""
FETCH_S = 30.0
"""Seconds for a result to come over; its worker may be gone by then, and the run done again."""


class Pool(Protocol):
    """Takes tasks as long as it has room, and gives back what came of them."""

    def room(self) -> int:
        """How many more tasks it can take."""

    def submit(self, task: RunTask) -> None:
        """Take a task."""

    def done(self, timeout: float) -> tuple[RunTask, Outcome] | None:
        """A task that is done, or None if there is none within `timeout` seconds.

        Raises
        ------
        CryoPickError
            If no run can be done at all.
        """


class SerialPool:
    """Does a run in this process when it is asked for the result."""

    def __init__(self, picker: Picker) -> None:
        self._picker = picker
        self._task: RunTask | None = None

    def room(self) -> int:
        """One, or none."""
        return 1 if self._task is None else 0

    def submit(self, task: RunTask) -> None:
        """Take a task."""
        self._task = task

    def done(self, timeout: float) -> tuple[RunTask, Outcome] | None:
        """Do the task, however long it takes."""
        task, self._task = self._task, None
        return None if task is None else (task, do_run(task, self._picker))


class DaskPool:
    """Gives each worker one run at a time, so that a worker that comes later has work too.

    A run whose worker dies is done by another; Dask gives up on it when that happens twice, and
    then it has failed.

    Parameters
    ----------
    cluster
    work
        What a worker does with a task and its number of threads.
    """

    def __init__(
        self,
        cluster: Cluster,
        work: Callable[[RunTask, int | None], Outcome] = do_run_on_worker,
    ) -> None:
        self._cluster = cluster
        self._work = work
        self._tasks: dict[Any, RunTask] = {}
        self._looked = 0.0
        self._size = 0

    def room(self) -> int:
        """Workers without a run; before the first worker is there, as many as were asked for."""
        if time.monotonic() - self._looked > LOOK_AFTER_S or not self._tasks:
            self._looked = time.monotonic()
            self._size = self._cluster.size() or self._cluster.workers
            self._cluster.replace_lost()
        return self._size - len(self._tasks)

    def submit(self, task: RunTask) -> None:
        """Send a task to a worker."""
        future = self._cluster.client.submit(
            self._work, task, self._cluster.threads,
            key=f"{task.run}-{uuid.uuid4().hex}", resources=self._cluster.resources, pure=False,
        )  # fmt: skip
        self._tasks[future] = task

    def done(self, timeout: float) -> tuple[RunTask, Outcome] | None:
        """The first task that is done."""
        from distributed import wait

        try:
            finished = wait(list(self._tasks), timeout, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return None
        future = next(iter(finished))
        try:
            outcome = self._outcome(future)
        except TimeoutError:
            # To wait on is to wait for ever where that was the last worker: only `room` asks for
            # another, and this task is then done by that one.
            logger.warning("%s: its result did not arrive; waiting again", self._tasks[future].run)
            return None
        return self._tasks.pop(future), outcome

    def _outcome(self, future: Any) -> Outcome:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        run = str(future.key).rsplit("-", 1)[0]
        try:
            outcome: Outcome = future.result(FETCH_S)
        except KilledWorker:
            return Failure(
                run,
                "two workers died over it; out of memory, or ended from outside? "
                "(cluster.memory, and the log of the worker)",
            )
        except CancelledError as error:
            raise CryoPickError(
                "the scheduler of the cluster is gone; what is done is kept, run the same command "
                "to go on"
            ) from error
        return outcome


@contextmanager
def open_pool(settings: ClusterSettings, plan: PickerPlan, folder: Path) -> Iterator[Pool]:
    """The pool that the settings describe; its workers end with the block."""
    if settings.kind == "none":
        give_back_large_blocks()
        yield SerialPool(load_planned(plan))
        return
    with open_cluster(settings, folder) as cluster:
        yield DaskPool(cluster)

"""Dask itself: imported, told what this program needs of it, started and closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from cryo_pick.errors import ConfigError
from cryo_pick.settings import ClusterSettings

log = logging.getLogger(__name__)

GPU = "GPU"
HERE = "127.0.0.1"
NO_PAGE = f"{HERE}:0"
"""Where Dask puts its web page, which can't be turned off: out of reach of others."""
CLOSE_S = 90.0
"""Seconds for a cluster to close: a job may be on its way (jobs.SUBMIT_S), to be cancelled then."""

MEMORY = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
"""A run's memory is torch's and not Dask's to spill, and a worker that waits for it to shrink waits
for ever; one beyond its limit is ended."""
DASK: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,  # a run that takes two workers down has failed
    "distributed.comm.timeouts.connect": "30s",
    "distributed.admin.tick.limit": "60s",  # tomograms are read without giving way
    **MEMORY,
}


def import_dask() -> tuple[Any, Any]:
    """The modules `dask` and `distributed`, whose log lines go where all others go."""
    try:
        import dask
        import dask_jobqueue  # noqa: F401  # a part of the same extra
        import distributed
    except ImportError as error:
        raise ConfigError(
            f"cluster: Dask is not installed ({error}); pip install 'cryo-pick[cluster]', "
            "or use cluster=none"
        ) from error
    for name in ("distributed", "distributed.client", "tornado"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    return dask, distributed


def protocol(settings: ClusterSettings) -> str:
    """How scheduler and workers talk."""
    return "tls" if settings.tls else "tcp"


@contextmanager
def started(make: Callable[[], Any]) -> Iterator[Any]:
    """What `make` starts, a Dask cluster, which is closed at the end, whatever comes between."""
    with _made(make, _close) as owned:
        yield owned


@contextmanager
def client_of(owned: Any) -> Iterator[Any]:
    """A client of a cluster that `started` gave.

    It gets the address, not the cluster: given that, it waits until each job is submitted, and
    stopped while it waits, it leaves the cluster in a state in which it can't be closed.
    """
    import distributed

    def make() -> Any:
        return distributed.Client(owned.scheduler_address, security=owned.security)

    with _made(make, lambda client: client.close()) as client:
        yield client


@contextmanager
def _made(make: Callable[[], Any], close: Callable[[Any], None]) -> Iterator[Any]:
    """What `make` gives, closed at the end.

    It is made in a thread of its own, since a signal that comes while Dask starts something leaves
    half of it to Dask's exit handler, which then prints a traceback and cancels no job. Here the
    signal waits until there is something to close.
    """
    made: list[Any] = []
    with ThreadPoolExecutor(1) as thread:
        try:
            # Kept by the thread, since the signal may come before this one has the future.
            thread.submit(lambda: made.append(make())).result()
            yield made[0]
        finally:
            thread.shutdown()
            for each in made:
                close(each)


def _close(owned: Any) -> None:
    owned.shutdown_on_close = False  # it has had its chance: nothing is left to the exit handler
    try:
        owned.close(timeout=CLOSE_S)
    except TimeoutError:
        log.warning("the cluster did not close in %.0f s; its jobs may be left behind", CLOSE_S)

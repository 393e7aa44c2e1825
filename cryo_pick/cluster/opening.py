"""Start or join a cluster; what was started ends with it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryo_pick.cluster.job_watch import JobWatch
from cryo_pick.cluster.jobs import open_jobs
from cryo_pick.cluster.starting import (
    DASK,
    GPU,
    HERE,
    NO_PAGE,
    client_of,
    import_dask,
    protocol,
    started,
)
from cryo_pick.errors import ConfigError
from cryo_pick.run_folder import usable_cpus
from cryo_pick.settings import ClusterSettings

log = logging.getLogger(__name__)

_PATIENCE = "30s"


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes
    ----------
    client
        ``distributed.Client``.
    resources
        What a piece of work asks for.
    workers
        How many were asked for; there may be more, or fewer yet.
    threads
        CPU threads of a worker; None: as many as its machine has cores.
    jobs
        What looks after the jobs, where workers are jobs.
    """

    client: Any
    resources: dict[str, int]
    workers: int
    threads: int | None
    jobs: JobWatch | None = None

    def size(self) -> int:
        """How many pieces of work it can take at once, with the workers that are there now."""
        return sum(self.client.nthreads().values())

    def replace_lost(self) -> None:
        """Ask again for the workers whose jobs are gone.

        Raises
        ------
        CryoPickError
            If there is no hope for jobs.
        """
        if self.jobs is not None:
            self.jobs.look()


@contextmanager
def open_cluster(settings: ClusterSettings, folder: Path) -> Iterator[Cluster]:
    """Start or join a cluster; what was started ends with the block.

    Parameters
    ----------
    settings
        Of any kind but none.
    folder
        For what jobs print, and their certificates; where the workers see it too.

    Raises
    ------
    ConfigError
        If Dask is not installed, the settings don't suit this machine, or nothing answers.
    """
    dask, distributed = import_dask()
    with dask.config.set(DASK):
        if settings.kind == "address":
            with _join(settings, distributed) as cluster:
                yield cluster
            return
        security = distributed.Security.temporary() if settings.tls else None
        if settings.kind == "local":
            with _local(settings, security) as cluster:
                yield cluster
            return
        workers, resources = settings.workers or 1, {GPU: 1} if settings.gpus else {}
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "7 days"}),  # see JobWatch
            open_jobs(settings, folder, security) as (owned, watch),
            client_of(owned) as client,
        ):
            log.info("cluster: %s, %d worker(s)", settings.kind, workers)
            yield Cluster(client, resources, workers, settings.cores, watch)


def _devices(settings: ClusterSettings) -> list[str]:
    """GPUs for the workers of this machine, as CUDA_VISIBLE_DEVICES names them."""
    if settings.gpus == 0:
        return []
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed else [str(i) for i in range(torch.cuda.device_count())]
    names = names[: torch.cuda.device_count()]
    wanted = settings.workers or len(names)
    if settings.gpus == 1 and not names:
        raise ConfigError("cluster.gpus=1: no GPU is visible here; use cluster.gpus=0 for the CPU")
    if names and wanted > len(names):
        raise ConfigError(
            f"cluster.workers: expected at most {len(names)}, one for each GPU, but got {wanted}; "
            "cluster.gpus=0 uses the CPU instead"
        )
    return names


@contextmanager
def _local(settings: ClusterSettings, security: Any) -> Iterator[Cluster]:
    """Processes on this machine, which their nannies look after."""
    devices = _devices(settings)
    workers = settings.workers or max(1, len(devices))
    threads = settings.cores or max(1, usable_cpus() // workers)

    def make() -> Any:
        return _processes(settings, workers, devices, security)

    with started(make) as owned, client_of(owned) as client:
        log.info("cluster: local, %d worker(s)", workers)
        yield Cluster(client, {GPU: 1} if devices else {}, workers, threads)


def _processes(settings: ClusterSettings, workers: int, devices: list[str], security: Any) -> Any:
    import distributed

    common = {
        "nthreads": 1,
        "memory_limit": settings.memory or 0,
        "host": HERE,
        "dashboard_address": NO_PAGE,
        "dashboard": False,
        "security": security,
        "silence_logs": logging.WARNING,
    }

    def options(number: int) -> dict[str, Any]:
        if not devices:
            return common | {"env": {"CUDA_VISIBLE_DEVICES": ""}}
        return common | {
            "env": {"CUDA_VISIBLE_DEVICES": devices[number]},
            "resources": {GPU: 1},
        }

    scheduler = {
        "cls": distributed.Scheduler,
        "options": {
            "host": HERE,
            "port": 0,
            "protocol": protocol(settings) + "://",
            "dashboard": False,
            "dashboard_address": NO_PAGE,
            "security": security,
        },
    }
    specs = {i: {"cls": distributed.Nanny, "options": options(i)} for i in range(workers)}
    return distributed.SpecCluster(
        workers=specs, scheduler=scheduler, security=security, silence_logs=logging.WARNING
    )


@contextmanager
def _join(settings: ClusterSettings, distributed: Any) -> Iterator[Cluster]:
    """A cluster that somebody else started; certificates are as Dask's own config says."""
    try:
        client = distributed.Client(settings.address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster={settings.address}: no Dask scheduler answers there ({error}); start one "
            "with: dask scheduler"
        ) from error
    with client:
        resources = client.run_on_scheduler(_resources)
        gpus = settings.gpus if settings.gpus is not None else int(GPU in resources)
        log.info("cluster: %s, %d worker(s) now", settings.address, len(client.nthreads()))
        yield Cluster(client, {GPU: 1} if gpus else {}, settings.workers or 1, settings.cores)


def _resources(dask_scheduler: Any = None) -> list[str]:
    """Names of all that the workers of a scheduler declare."""
    return sorted(dask_scheduler.resources)

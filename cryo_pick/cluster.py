"""Dask clusters as the `cluster` settings say: on this machine, in jobs, or there already.

A worker does one thing at a time, and a worker with a GPU has it for itself: it declares
``GPU=1``, which each piece of work asks for. Nothing listens beyond this machine with
`cluster=local`; the others listen where the workers can reach them, with `tls` to holders of a
certificate that is made for this run only.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryo_pick.errors import ConfigError
from cryo_pick.run_folder import usable_cpus
from cryo_pick.settings import ClusterSettings

log = logging.getLogger(__name__)

GPU = "GPU"
_PATIENCE = "30s"
_HERE = "127.0.0.1"
_NO_PAGE = f"{_HERE}:0"
"""Where Dask puts its web page, which can't be turned off: out of reach of others."""

_MEMORY = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
"""A run's memory is torch's and not Dask's to spill, and a worker that waits for it to shrink waits
for ever; one beyond its limit is ended."""
LOST_AFTER_S = 15.0
"""Seconds without a worker after which its job is taken to be gone."""
_DASK: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 1,  # a run that takes two workers down has failed
    "distributed.comm.timeouts.connect": "30s",
    "distributed.admin.tick.limit": "60s",  # tomograms are read without giving way
    **_MEMORY,
}


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
    owned
        The Dask cluster, where its workers are jobs.
    missing
        Since when a worker is seen no more, by name; infinity: it was there at the last look.
    """

    client: Any
    resources: dict[str, int]
    workers: int
    threads: int | None
    owned: Any = None
    missing: dict[str, float] = field(default_factory=dict)

    def size(self) -> int:
        """How many pieces of work it can take at once, with the workers that are there now."""
        return sum(self.client.nthreads().values())

    def replace_lost(self) -> None:
        """Ask again for the workers whose jobs are gone.

        A worker that was there and is missed for a while has lost its job: in the job, a worker
        that dies is started again sooner.
        """
        if self.owned is None:
            return
        now = time.monotonic()
        here = {str(w.name) for w in list(self.owned.scheduler.workers.values())}
        self.missing.update(dict.fromkeys(here, math.inf))
        for name, since in list(self.missing.items()):
            if name in here:
                continue
            self.missing[name] = min(since, now)
            if now - self.missing[name] > LOST_AFTER_S:
                del self.missing[name]
                self.owned.worker_spec.pop(name, None)
                log.warning("the job of worker %s is gone; asking for another", name)
        self.owned.scale(self.workers)


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
    dask, distributed = _import_dask()
    with dask.config.set(_DASK):
        if settings.kind == "address":
            with _join(settings, distributed) as cluster:
                yield cluster
            return
        security = distributed.Security.temporary() if settings.tls else None
        threads, gpus = settings.cores, settings.gpus or 0
        if settings.kind == "local":
            devices = _devices(settings)
            workers = settings.workers or max(1, len(devices))
            gpus = min(1, len(devices))
            threads = threads or max(1, usable_cpus() // workers)
            owned = _local(settings, workers, devices, security)
        else:
            workers = settings.workers or 1
            owned = _jobs(settings, folder, security)
        with owned, distributed.Client(owned) as client:
            log.info("cluster: %s, %d worker(s)", settings.kind, workers)
            jobs = None if settings.kind == "local" else owned  # nannies look after local workers
            yield Cluster(client, {GPU: 1} if gpus else {}, workers, threads, jobs)


def job_script(settings: ClusterSettings, folder: Path) -> str:
    """The script of one job of `cluster=slurm` or `cluster=pbs`, without starting anything.

    The address of the scheduler and the names of the certificates are known only once it runs.
    """
    _import_dask()
    import dask_jobqueue

    job: Any = (
        dask_jobqueue.slurm.SLURMJob if settings.kind == "slurm" else dask_jobqueue.pbs.PBSJob
    )
    values = _job_settings(settings, folder)
    if settings.interface:
        values["interface"] = settings.interface
    protocol = "tls" if settings.tls else "tcp"
    if settings.tls:
        names = (("ca-file", "CA"), ("cert", "CERTIFICATE"), ("key", "KEY"))
        values["worker_extra_args"] += [f"--tls-{flag} {name}" for flag, name in names]
    values["log_directory"] = None  # it would be made
    script = job(f"{protocol}://SCHEDULER:PORT", name="WORKER", **values).job_script()
    return str(script)


def _import_dask() -> tuple[Any, Any]:
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
        logger.handlers.clear()  # its lines go where all others go
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    return dask, distributed


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


def _local(settings: ClusterSettings, workers: int, devices: list[str], security: Any) -> Any:
    import distributed

    common = {
        "nthreads": 1,
        "memory_limit": settings.memory or 0,
        "host": _HERE,
        "dashboard_address": _NO_PAGE,
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
            "host": _HERE,
            "port": 0,
            "protocol": _protocol(settings) + "://",
            "dashboard": False,
            "dashboard_address": _NO_PAGE,
            "security": security,
        },
    }
    specs = {i: {"cls": distributed.Nanny, "options": options(i)} for i in range(workers)}
    return distributed.SpecCluster(
        workers=specs, scheduler=scheduler, security=security, silence_logs=logging.WARNING
    )


def _jobs(settings: ClusterSettings, folder: Path, security: Any) -> Any:
    import dask_jobqueue

    kind = dask_jobqueue.SLURMCluster if settings.kind == "slurm" else dask_jobqueue.PBSCluster
    certificates = folder / ".certificates"
    certificates.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return kind(
            n_workers=settings.workers or 1,
            interface=settings.interface,
            protocol=_protocol(settings) + "://",
            security=security,
            shared_temp_directory=str(certificates.absolute()),
            scheduler_options={"dashboard": False, "dashboard_address": _NO_PAGE},
            **_job_settings(settings, folder),
        )
    except (RuntimeError, OSError, ValueError) as error:
        raise ConfigError(f"cluster={settings.kind}: jobs can't be submitted: {error}") from error


def _job_settings(settings: ClusterSettings, folder: Path) -> dict[str, Any]:
    """One worker in one job, as dask-jobqueue wants it."""
    cores = settings.cores or 1
    directives = list(settings.directives)
    values: dict[str, Any] = {
        "job_name": "cryo-pick",
        "python": sys.executable,
        "cores": 1,  # threads of the worker, which does one run at a time
        "processes": 1,
        "memory": settings.memory,
        "walltime": settings.walltime,
        "queue": settings.queue,
        "account": settings.account,
        "job_script_prologue": [*_exports(), *settings.setup],
        "log_directory": str(folder.absolute() / "jobs"),
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", _NO_PAGE],
    }
    if settings.gpus:
        values["worker_extra_args"] += ["--resources", f"{GPU}=1"]
    if settings.kind == "slurm":
        values["job_cpu"] = cores
        directives += ["--gres=gpu:1"] if settings.gpus else []
    else:
        gpus = ":ngpus=1" if settings.gpus else ""
        memory = str(settings.memory).replace(" ", "").lower()
        values["resource_spec"] = f"select=1:ncpus={cores}:mem={memory}{gpus}"
    return values | {"job_extra_directives": directives}


def _exports() -> list[str]:
    """Shell lines by which a job's worker gets the settings that its own process needs."""
    names = {key.upper().replace(".", "__"): value for key, value in _MEMORY.items()}
    return [f"export DASK_{name}={value}" for name, value in names.items()]


def _protocol(settings: ClusterSettings) -> str:
    return "tls" if settings.tls else "tcp"


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

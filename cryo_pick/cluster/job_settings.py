"""One worker in one job, as dask-jobqueue wants it, and the script that comes of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cryo_pick.cluster.starting import GPU, MEMORY, NO_PAGE, import_dask, protocol
from cryo_pick.settings import ClusterSettings


def job_script(settings: ClusterSettings, folder: Path) -> str:
    """The script of one job of `cluster=slurm` or `cluster=pbs`, without starting anything.

    The address of the scheduler and the names of the certificates are known only once it runs.
    """
    import_dask()
    import dask_jobqueue

    job: Any = (
        dask_jobqueue.slurm.SLURMJob if settings.kind == "slurm" else dask_jobqueue.pbs.PBSJob
    )
    values = job_settings(settings, folder)
    if settings.interface:
        values["interface"] = settings.interface
    if settings.tls:
        names = (("ca-file", "CA"), ("cert", "CERTIFICATE"), ("key", "KEY"))
        values["worker_extra_args"] += [f"--tls-{flag} {name}" for flag, name in names]
    values["log_directory"] = None  # it would be made
    address = f"{protocol(settings)}://SCHEDULER:PORT"
    return str(job(address, name="WORKER", **values).job_script())


def job_logs(folder: Path) -> Path:
    """Where jobs leave what they print."""
    return folder.absolute() / "jobs"


def job_settings(settings: ClusterSettings, folder: Path) -> dict[str, Any]:
    """Keyword arguments of a job of dask-jobqueue."""
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
        "log_directory": str(job_logs(folder)),
        "worker_extra_args": ["--no-dashboard", "--dashboard-address", NO_PAGE],
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
    names = {key.upper().replace(".", "__"): value for key, value in MEMORY.items()}
    return [f"export DASK_{name}={value}" for name, value in names.items()]

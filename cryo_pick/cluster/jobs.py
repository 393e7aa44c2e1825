"""A Dask cluster whose workers are jobs of SLURM or PBS."""

from __future__ import annotations

import asyncio
import logging
import shlex
import subprocess  # nosec B404  # see output_of
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryo_pick.cluster.job_settings import job_logs, job_settings
from cryo_pick.cluster.job_watch import UNKNOWN, JobWatch
from cryo_pick.cluster.starting import NO_PAGE, protocol, started
from cryo_pick.errors import ConfigError
from cryo_pick.settings import ClusterSettings

log = logging.getLogger(__name__)

SUBMIT_S = 60.0
"""Seconds that `sbatch` or `qsub` may take."""
CANCEL_S = 20.0
"""Seconds that `scancel` or `qdel` may take: less than what a job gets between SIGTERM and KILL."""


@contextmanager
def open_jobs(
    settings: ClusterSettings, folder: Path, security: Any
) -> Iterator[tuple[Any, JobWatch]]:
    """A Dask cluster without workers, and what asks for them; its jobs end with the block."""
    certificates = folder / ".certificates"
    certificates.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make() -> Any:
        import dask_jobqueue

        slurm = settings.kind == "slurm"
        kind = dask_jobqueue.SLURMCluster if slurm else dask_jobqueue.PBSCluster
        try:
            return kind(
                job_cls=_quiet(kind.job_cls),
                interface=settings.interface,
                protocol=protocol(settings) + "://",
                security=security,
                shared_temp_directory=str(certificates.absolute()),
                scheduler_options={"dashboard": False, "dashboard_address": NO_PAGE},
                **job_settings(settings, folder),
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise ConfigError(
                f"cluster={settings.kind}: jobs can't be submitted: {error}"
            ) from error

    with started(make) as owned:
        watch = JobWatch(owned, settings.workers or 1, settings.kind, job_logs(folder))
        watch.ask()
        yield owned, watch


def _quiet(base: Any) -> Any:
    """A kind of job whose commands end in time, and which keeps what goes wrong with them.

    dask-jobqueue raises it in a task of which nobody takes the result: tracebacks are printed, and
    the cluster waits for ever.
    """
    from distributed.core import Status

    class QuietJob(base):  # type: ignore[misc]  # Dask has no types
        refusal = ""
        """Why the job could not be submitted."""

        async def start(self) -> None:
            try:
                await super().start()
            except (RuntimeError, OSError, ValueError) as error:
                lines = str(error).strip().splitlines()
                self.refusal = lines[-1] if lines else type(error).__name__
            self.status = Status.running  # for Dask; JobWatch looks at `refusal`

        async def close(self) -> None:
            try:
                if self.job_id:
                    await self._call([*shlex.split(self.cancel_command), self.job_id])
            except (RuntimeError, OSError) as error:
                if not UNKNOWN.search(str(error)):
                    log.warning("job %s may be left: %s", self.job_id, error)
            self.status = Status.closed

        async def _call(self, command: Sequence[str]) -> str:
            cancels = command[0] == shlex.split(self.cancel_command)[0]
            seconds = CANCEL_S if cancels else SUBMIT_S
            return await asyncio.to_thread(output_of, command, seconds)

    return QuietJob


def output_of(command: Sequence[str], seconds: float) -> str:
    """What a command prints.

    Raises
    ------
    RuntimeError
        With what it printed to stderr, if it failed; if it gave no answer in time, after which it
        is ended.
    OSError
        If there is no such command.
    """
    try:
        done = subprocess.run(  # nosec B603  # commands of the batch system, without a shell
            command, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{command[0]} gave no answer in {seconds:.0f} s") from error
    if done.returncode:
        told = done.stderr.strip()
        raise RuntimeError(told or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout

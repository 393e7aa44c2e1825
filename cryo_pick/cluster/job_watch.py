"""Which workers have lost their jobs, and others asked for in their place."""

from __future__ import annotations

import itertools
import logging
import math
import re
import subprocess  # nosec B404  # for a fixed command and numbers of jobs
import time
from pathlib import Path
from typing import Any

from cryo_pick.errors import ConfigError, CryoPickError

log = logging.getLogger(__name__)

LOST_AFTER_S = 15.0
"""Seconds without a worker after which its job is taken to be gone."""
ASK_AFTER_S = 30.0
"""Seconds between two questions to the batch system, which has others to answer too."""
ANSWER_S = 30.0
TRIES = 2
"""How many jobs for each worker may end before a worker of theirs is seen."""

_LIST = {"slurm": ["squeue", "--noheader", "--format=%A", "--jobs={ids}"], "pbs": ["qstat"]}
UNKNOWN = re.compile("invalid job id|unknown job|has finished|already complet", re.IGNORECASE)
"""What batch systems say of a job that is over."""


class JobWatch:
    """Looks after the jobs of a cluster.

    Parameters
    ----------
    owned
        A cluster of dask-jobqueue, without workers yet, whose jobs keep their `refusal`.
    workers
        How many are wanted.
    kind
        slurm or pbs.
    logs
        Where jobs leave what they print, to be named in errors.
    """

    def __init__(self, owned: Any, workers: int, kind: str, logs: Path) -> None:
        self._owned, self._workers, self._kind, self._logs = owned, workers, kind, logs
        self._numbers = itertools.count()
        self._missing: dict[str, float] = {}
        """Since when a worker is seen no more; infinity: it was there at the last look."""
        self._asked = time.monotonic()
        self._in_vain = 0

    def ask(self) -> None:
        """Ask for as many workers as are wanted."""
        # Under names of their own: Dask gives that of a lost one again, and then takes it for there
        while len(self._owned.worker_spec) < self._workers:
            name = f"{self._kind}-{next(self._numbers)}"
            self._owned.worker_spec[name] = self._owned.new_spec
        self._owned.scale(self._workers)  # submits and cancels what differs

    def look(self) -> None:
        """Ask again for the workers whose jobs are gone.

        A worker that was there and is missed for a while has lost its job: in the job, a worker
        that dies is started again sooner. Of a job whose worker has not come yet, the batch system
        knows.

        Raises
        ------
        ConfigError
            If no job can be submitted.
        CryoPickError
            If jobs end again and again before their workers come.
        """
        now = time.monotonic()
        here = {str(w.name) for w in list(self._owned.scheduler.workers.values())}
        if here - self._missing.keys():
            self._in_vain = 0
        self._missing.update(dict.fromkeys(here, math.inf))
        jobs = {n: j for n, j in list(self._owned.workers.items()) if n in self._owned.worker_spec}
        refused = {name: job.refusal for name, job in jobs.items() if job.refusal}
        if refused and len(refused) == len(self._owned.worker_spec) and not self._missing:
            why = next(iter(refused.values()))
            raise ConfigError(f"cluster={self._kind}: jobs can't be submitted: {why}")
        for name in self._lost(here, now):
            self._forget(name, f"the job of worker {name} is gone")
        if now - self._asked > ASK_AFTER_S:
            self._asked = now
            for name, why in refused.items():
                self._forget(name, f"a job was refused ({why})")
            self._replace_ended(jobs)
        self.ask()

    def _lost(self, here: set[str], now: float) -> list[str]:
        for name in self._missing.keys() - here:
            self._missing[name] = min(self._missing[name], now)
        return [name for name, since in self._missing.items() if now - since > LOST_AFTER_S]

    def _replace_ended(self, jobs: dict[str, Any]) -> None:
        """Forget the jobs that ended before their workers were seen."""
        ids = {j.job_id: n for n, j in jobs.items() if j.job_id and n not in self._missing}
        for job in gone_jobs(self._kind, list(ids)):
            self._forget(ids[job], f"job {job} ended before its worker came (see {self._logs})")
            self._in_vain += 1
        if self._in_vain >= TRIES * self._workers and not self._owned.scheduler.workers:
            raise CryoPickError(
                f"cluster={self._kind}: {self._in_vain} jobs ended before their workers came; "
                f"what they printed is in {self._logs}"
            )

    def _forget(self, name: str, why: str) -> None:
        self._missing.pop(name, None)
        self._owned.worker_spec.pop(name, None)
        log.warning("%s; asking for another", why)


def gone_jobs(kind: str, ids: list[str]) -> list[str]:
    """Those of some jobs that the batch system has no more; none where it gives no clear answer."""
    if not ids:
        return []
    if kind == "slurm":
        command = [word.format(ids=",".join(ids)) for word in _LIST[kind]]
    else:
        command = [*_LIST[kind], *ids]
    try:
        done = subprocess.run(  # nosec B603
            command, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode and not UNKNOWN.search(done.stderr):
        return []
    known = set(re.findall(r"^\s*(\d+)", done.stdout, re.MULTILINE))
    return [job for job in ids if job not in known]

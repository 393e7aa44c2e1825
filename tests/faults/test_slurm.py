"""`cluster=slurm` through a real SLURM on this machine, with jobs that are cancelled.

Skipped where SLURM is not installed; CRYO_PICK_TEST_SLURM=install has root of a Debian install it
first. Where it does not start, or anything takes too long, the tests fail with all logs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import slurm_loopback
from tests.faults.conftest import N_RUNS, Starter, done, leftovers, picks, words

pytest.importorskip("dask_jobqueue", reason="needs the extra `cluster`")

N_JOBS = 2
STOPPED = "cryo-pick: stopped by SIGTERM; what is done is kept, the same command goes on from there"
JOBS = [
    "cluster=slurm", f"cluster.workers={N_JOBS}", "cluster.gpus=0", "cluster.cores=1",
    "cluster.memory=1500MB", "cluster.walltime=00:10:00", "cluster.interface=lo",
]  # fmt: skip
PATIENCE_S = 300
"""Seconds for a whole command. On two cores that others use, its workers alone import for 20 s."""


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    if "CRYO_PICK_TEST_SLURM" not in os.environ:
        pytest.skip("set CRYO_PICK_TEST_SLURM=1 (or =install) to try a real SLURM; takes minutes")
    try:
        if os.environ["CRYO_PICK_TEST_SLURM"] == "install":
            slurm_loopback.install()
        with slurm_loopback.slurm(tmp_path / "slurm") as environment:
            yield environment
    except slurm_loopback.NoSlurm as error:
        pytest.skip(str(error))


class Command:
    """`predict` with two jobs, and waits that end with all that was said."""

    def __init__(self, slurm: dict[str, str], folder: Path, start: Starter) -> None:
        self.slurm, self.folder, self.out = slurm, folder, folder / "out"
        self.start = start
        self.end = time.monotonic() + PATIENCE_S

    def begin(self, inputs: Path, bundle: Path, *more: str) -> None:
        """Start it."""
        command = words(inputs, bundle, self.out, *JOBS, *more)
        self.process = self.start(command, SLURM_CONF=self.slurm["SLURM_CONF"])

    def logs(self) -> str:
        """What it, SLURM and the jobs printed."""
        jobs = sorted((self.out / "jobs").glob("*"))
        return slurm_loopback.said(self.slurm, self.folder / "said0.txt", *jobs)

    def jobs_when(self, ready: Callable[[], bool], states: str) -> list[str]:
        """Jobs in some states, once there are as many as were asked for."""
        while True:
            found = slurm_loopback.jobs(self.slurm, states)
            if len(found) == N_JOBS and ready():
                return found
            assert self.process.poll() is None, self.logs()
            assert time.monotonic() < self.end, self.logs()
            time.sleep(0.05)

    def jobs_until_the_end(self) -> set[str]:
        """Jobs that were seen until it ended."""
        seen: set[str] = set()
        while self.process.poll() is None:
            seen |= set(slurm_loopback.jobs(self.slurm, "all"))
            assert time.monotonic() < self.end, self.logs()
            time.sleep(0.2)
        return seen


@pytest.fixture
def command(slurm: dict[str, str], tmp_path: Path, start: Starter) -> Command:
    return Command(slurm, tmp_path, start)


def test_a_cancelled_job_is_done_again(
    command: Command, tomograms: Path, tiny_bundle: Path, undisturbed: Path
) -> None:
    command.begin(tomograms, tiny_bundle)
    first = command.jobs_when(lambda: bool(done(command.out)), "RUNNING")
    for job in first:
        slurm_loopback.cancel(command.slurm, job)
    seen = command.jobs_until_the_end()
    assert command.process.returncode == 0, command.logs()
    assert seen - set(first)  # jobs were asked for again
    assert len(done(command.out)) == N_RUNS
    assert picks(command.out) == picks(undisturbed)
    assert leftovers(command.out) == []
    assert slurm_loopback.jobs(command.slurm, "PENDING,RUNNING") == []  # none is left behind


def test_a_job_cancelled_before_its_worker_comes_is_asked_for_again(
    command: Command, few: Path, tiny_bundle: Path
) -> None:
    command.begin(few, tiny_bundle)
    first = command.jobs_when(lambda: True, "PENDING,RUNNING")
    for job in first:
        slurm_loopback.cancel(command.slurm, job)
    seen = command.jobs_until_the_end()
    assert command.process.returncode == 0, command.logs()
    assert seen - set(first)
    assert len(done(command.out)) == 3


def test_a_signal_while_jobs_wait_cancels_them(
    command: Command, few: Path, tiny_bundle: Path
) -> None:
    command.begin(few, tiny_bundle, 'cluster.directives=["--hold"]')
    command.jobs_when(lambda: True, "PENDING")
    command.process.terminate()
    command.jobs_until_the_end()
    assert command.process.returncode == 75, command.logs()
    lines = (command.folder / "said0.txt").read_text().splitlines()
    assert [line for line in lines if " INFO " not in line] == [STOPPED], command.logs()
    assert slurm_loopback.jobs(command.slurm, "PENDING,RUNNING") == []
    assert leftovers(command.out) == []

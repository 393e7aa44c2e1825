"""`cluster=slurm` through a real SLURM on this machine, with a job that is cancelled.

Skipped where SLURM is not installed or does not start; CRYO_PICK_TEST_SLURM=install has root of a
Debian install it first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import slurm_loopback
from tests.faults.conftest import N_RUNS, Starter, done, leftovers, picks, words

pytest.importorskip("dask_jobqueue", reason="needs the extra `cluster`")

JOBS = [
    "cluster=slurm", "cluster.workers=2", "cluster.gpus=0", "cluster.cores=1",
    "cluster.memory=1500MB", "cluster.walltime=00:10:00", "cluster.interface=lo",
]  # fmt: skip
PATIENCE_S = 300


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


def test_a_cancelled_job_is_done_again(
    slurm: dict[str, str],
    tomograms: Path,
    tiny_bundle: Path,
    undisturbed: Path,
    tmp_path: Path,
    start: Starter,
) -> None:
    out = tmp_path / "out"
    process = start(words(tomograms, tiny_bundle, out, *JOBS), SLURM_CONF=slurm["SLURM_CONF"])
    end = time.monotonic() + PATIENCE_S
    first: list[str] = []
    while not done(out) or not first:
        first = slurm_loopback.jobs(slurm)
        assert process.poll() is None, (tmp_path / "said0.txt").read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    for job in first:
        slurm_loopback.cancel(slurm, job)
    seen: set[str] = set()
    while process.poll() is None:
        seen |= set(slurm_loopback.jobs(slurm))
        assert time.monotonic() < end, (tmp_path / "said0.txt").read_text()
        time.sleep(0.2)
    assert process.returncode == 0, (tmp_path / "said0.txt").read_text()
    assert seen - set(first)  # jobs were asked for again
    assert len(done(out)) == N_RUNS
    assert picks(out) == picks(undisturbed)
    assert leftovers(out) == []
    assert slurm_loopback.jobs(slurm) == []  # none is left behind

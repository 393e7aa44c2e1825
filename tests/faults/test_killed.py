"""Processes that are killed at random moments: nothing is lost, and nothing is different.

CRYO_PICK_KILLED_BATCHES says how many batches are disturbed; the more, the rarer what they find.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from cryo_pick.cli import main
from cryo_pick.locks import Locks
from cryo_pick.pipeline.ledger import LOCK, count_states, run_folder, run_states
from tests.faults.conftest import N_RUNS, Starter, done, leftovers, picks, words

psutil = pytest.importorskip("psutil", reason="needs the extra `cluster`")

BATCHES = int(os.environ.get("CRYO_PICK_KILLED_BATCHES", "1"))
KILLS = 4
PATIENCE_S = 300
WAITS = "another process works on it"

pytestmark = pytest.mark.skipif(
    "CRYO_PICK_KILLED_BATCHES" not in os.environ,
    reason="minutes on two cores; set CRYO_PICK_KILLED_BATCHES=1 (20 for the full count)",
)


def _workers(process: psutil.Popen) -> list[psutil.Process]:
    """Worker processes of a command: what its nannies spawned."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    except psutil.Error:
        return []


def _wait_until(condition, process) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, "the command ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_workers_change_nothing(
    batch: int,
    tomograms: Path,
    tiny_bundle: Path,
    undisturbed: Path,
    tmp_path: Path,
    start: Starter,
) -> None:
    out, rng = tmp_path / "out", random.Random(batch)
    local = ["cluster=local", "cluster.workers=2", "cluster.gpus=0"]
    process = start(words(tomograms, tiny_bundle, out, *local))
    _wait_until(lambda: len(done(out)) >= 1, process)
    killed = 0
    while killed < KILLS and process.poll() is None:
        time.sleep(rng.uniform(0.0, 0.5))
        if workers := _workers(process):
            victim = rng.choice(workers)
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            killed += 1
            if len(done(out)) == N_RUNS:
                break
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "said0.txt").read_text()
    assert killed >= 2
    assert len(done(out)) == N_RUNS
    assert picks(out) == picks(undisturbed)
    assert leftovers(out) == []
    assert count_states(run_states(out).values())["done"] == N_RUNS


def test_a_killed_command_goes_on_where_it_was(
    tomograms: Path, tiny_bundle: Path, undisturbed: Path, tmp_path: Path, start: Starter
) -> None:
    out = tmp_path / "out"
    process = start(words(tomograms, tiny_bundle, out))
    _wait_until(lambda: len(done(out)) >= 3, process)
    process.kill()
    process.wait()
    before = {p: p.stat().st_mtime_ns for p in done(out)}
    states = count_states(run_states(out).values())
    assert states["running"] == 0
    assert states["done"] == len(before) < N_RUNS
    assert states["stale"] <= 1
    assert sum(states.values()) == N_RUNS
    assert main(words(tomograms, tiny_bundle, out)) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert picks(out) == picks(undisturbed)
    assert leftovers(out) == []


def test_two_commands_share_a_folder(
    tomograms: Path, tiny_bundle: Path, undisturbed: Path, tmp_path: Path, start: Starter
) -> None:
    out = tmp_path / "out"
    logs = [tmp_path / f"said{i}.txt" for i in range(2)]
    with Locks(out / "runs") as locks:  # until both are there, this process has every run
        for path in done(undisturbed):
            lock = run_folder(out, path.parent.name) / LOCK
            lock.parent.mkdir()
            assert locks.take(lock)
        processes = [start(words(tomograms, tiny_bundle, out)) for _ in logs]
        for process, log in zip(processes, logs, strict=True):
            _wait_until(lambda log=log: log.read_text().count(WAITS) == N_RUNS, process)
    assert [p.wait(PATIENCE_S) for p in processes] == [0, 0]
    assert picks(out) == picks(undisturbed)
    assert leftovers(out) == []
    said = [log.read_text() for log in logs]
    here = [text.count(" candidates, ") - text.count("there already") for text in said]
    assert sum(here) == N_RUNS  # none was done twice


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)]
)
def test_signals_end_cleanly(
    number: int, code: int, tomograms: Path, tiny_bundle: Path, tmp_path: Path, start: Starter
) -> None:
    out = tmp_path / "out"
    process = start(words(tomograms, tiny_bundle, out))
    _wait_until(lambda: len(done(out)) >= 1, process)
    process.send_signal(number)
    assert process.wait(60) == code
    said = (tmp_path / "said0.txt").read_text()
    assert "Traceback" not in said
    assert len(done(out)) < N_RUNS
    assert leftovers(out) == []


def test_a_signal_ends_the_workers_too(
    tomograms: Path, tiny_bundle: Path, tmp_path: Path, start: Starter
) -> None:
    out = tmp_path / "out"
    local = ["cluster=local", "cluster.workers=1", "cluster.gpus=0"]
    process = start(words(tomograms, tiny_bundle, out, *local))
    _wait_until(lambda: len(done(out)) >= 1, process)
    workers = _workers(process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 75
    _, alive = psutil.wait_procs(workers, 10)
    assert workers
    assert alive == []
    assert "Traceback" not in (tmp_path / "said0.txt").read_text()
    assert leftovers(out) == []

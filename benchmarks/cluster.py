"""What it costs to hand five hundred runs to a cluster: time per run beside the runs themselves.

    python benchmarks/cluster.py                  stub network, 1 to 64 workers, and on paper
    python benchmarks/cluster.py --processes      and a tiny network in worker processes

The stub network answers after a fixed time and its result is written as a real one is, so that what
is measured is what lies between: locks, scheduler, messages, files. Its workers are threads of this
process, since this machine has not 64 cores; they only wait.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import tempfile
import time
from pathlib import Path

import distributed
import numpy as np

from cryo_pick.candidates import Candidates
from cryo_pick.cli import main as cryo_pick
from cryo_pick.cluster import Cluster
from cryo_pick.formats.candidates_npz import write_candidates
from cryo_pick.formats.inputs import InputRun
from cryo_pick.locks import Locks
from cryo_pick.picks import Picks
from cryo_pick.pipeline.ledger import run_folder
from cryo_pick.pipeline.one_run import RunTask
from cryo_pick.pipeline.pools import DaskPool
from cryo_pick.pipeline.predict import RunResult
from cryo_pick.pipeline.work import work_through

N_RUNS = 500
STUB_S = 0.2
PAPER_S = 30.0
WORKERS = (1, 2, 4, 8, 16, 32, 64)
N_CANDIDATES, N_CLASSES = 1000, 6


def stub_run(task: RunTask, threads: int | None) -> RunResult:
    """Wait as long as the network would take, and write what it would answer."""
    started = time.monotonic()
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 6000, (N_CANDIDATES, 3))
    scores = rng.uniform(0, 1, (N_CANDIDATES, N_CLASSES)).astype(np.float32)
    names = [f"class{i}" for i in range(N_CLASSES)]
    write_candidates(task.folder / "candidates.npz", Candidates(positions, scores), names, {})
    time.sleep(max(0.0, STUB_S - (time.monotonic() - started)))
    return RunResult(task.run, Picks(positions, scores.argmax(1)), N_CANDIDATES, STUB_S, False, ())


def time_stub(workers: int, n_runs: int) -> float:
    """Seconds for all runs on so many workers, which are there already."""
    with (
        tempfile.TemporaryDirectory() as name,
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None,
            memory_limit=0, silence_logs=logging.ERROR,
        ) as owned,
        distributed.Client(owned) as client,
        Locks(Path(name) / "runs") as locks,
    ):  # fmt: skip
        client.wait_for_workers(workers)
        sources = [InputRun(f"run{i:03d}", None, "") for i in range(n_runs)]
        tasks = [RunTask(s, None, run_folder(Path(name), s.run), False) for s in sources]
        pool = DaskPool(Cluster(client, {}, workers, 1), stub_run)
        started = time.perf_counter()
        done = sum(1 for _ in work_through(tasks, pool, locks))
        seconds = time.perf_counter() - started
    if done != n_runs:
        raise SystemExit(f"{done} of {n_runs} runs were done")
    return seconds


def stub_table(n_runs: int) -> None:
    """Print measured and ideal times, and what they make of runs that take longer."""
    print(f"{n_runs} runs of {STUB_S} s by a stub network; on paper {PAPER_S:.0f} s each")
    print("| workers | measured s | without overhead s | overhead per run ms | on paper min |")
    print("|---|---|---|---|---|")
    for workers in WORKERS:
        seconds = time_stub(workers, n_runs)
        rounds = math.ceil(n_runs / workers)
        overhead = (seconds - rounds * STUB_S) / n_runs
        paper = rounds * PAPER_S + overhead * n_runs
        print(
            f"| {workers} | {seconds:.1f} | {rounds * STUB_S:.1f} | {1000 * overhead:.1f} "
            f"| {paper / 60:.1f} |",
            flush=True,
        )


def process_table(n_runs: int) -> None:
    """Print what whole `predict` commands take with a tiny network, cluster's start included."""
    from tests.faults.conftest import words
    from tests.faults.tiny import write_tiny_bundle, write_tomograms

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = write_tiny_bundle(folder / "bundle")
        inputs = write_tomograms(folder / "tomograms", n_runs)
        print(f"\n{n_runs} runs of 16x40x40 voxels by a tiny network")
        print("| cluster | whole command s | again, all done s |")
        print("|---|---|---|")
        for label, cluster in (
            ("none", []),
            *((f"local, {w} workers", _local(w)) for w in (1, 2, 4)),
        ):
            times = []
            for _ in range(2):
                started = time.perf_counter()
                command = words(inputs, bundle, folder / label.replace(" ", ""), "-q", *cluster)
                with contextlib.redirect_stdout(io.StringIO()):  # it is no row of the table
                    code = cryo_pick(command)
                if code:
                    raise SystemExit(f"{label}: predict ended with {code}")
                times.append(time.perf_counter() - started)
            print(f"| {label} | {times[0]:.1f} | {times[1]:.1f} |", flush=True)


def _local(workers: int) -> list[str]:
    return ["cluster=local", f"cluster.workers={workers}", "cluster.gpus=0"]


def main() -> None:
    """Print the tables of docs/deployment.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=N_RUNS)
    parser.add_argument("--processes", action="store_true", help="the second table too")
    args = parser.parse_args()
    stub_table(args.runs)
    if args.processes:
        process_table(args.runs)


if __name__ == "__main__":
    main()

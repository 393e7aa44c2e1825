"""Time and memory against the number of runs in a project and of candidates in a run.

Run ``python benchmarks/limits.py``; it prints tables. Each step is measured
in a process of its own at three sizes, ten times apart. The last column says how many times the
time grew with the last ten times the size: about 10 is linear, 100 would be quadratic; less than 10
means that a fixed cost is still part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cryo_pick.candidates import Candidates
from cryo_pick.cli import main as cryo_pick
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates
from cryo_pick.formats.copick import create_project, open_project
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.picks_csv import read_csv, write_csv
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.formats.star import read_star, write_star
from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks
from cryo_pick.settings import DataSettings
from metrics.evaluate import evaluate
from metrics.thresholds import fit_thresholds
from refiner.blend import Blend, scored_picks

EXTENT = (1840.0, 6300.0, 6300.0)  # Å, zyx, of a CZII tomogram
PICKS_PER_RUN = 10
TRUE_PER_CLASS = 200
K = len(CZII_TYPES)
Timed = Callable[[str], contextlib.AbstractContextManager[None]]


def random_picks(n: int, rng: np.random.Generator) -> Picks:
    """Picks anywhere in a CZII tomogram, of the first five classes; the sixth has none."""
    return Picks(rng.random((n, 3)) * EXTENT, rng.integers(0, K - 1, n), rng.beta(1, 6, n))


def measure_runs(n: int, work: Path, timed: Timed) -> None:
    """A project of `n` runs with a tomogram and ten picks each, its picks as CSV and STAR."""
    folder = work / "project"
    _project(folder, n)
    settings = DataSettings()
    project = open_project(folder)
    with timed("list the runs of a project"):
        names = project.select_runs(settings)
    with timed("read the picks of a project"):
        truth, types = read_picks(folder)
    with timed("find and open each tomogram"):
        for source in find_inputs([folder], settings):
            source.open()
    with timed("choose every run by name"):
        find_inputs([folder], DataSettings(runs=names))
    with timed("write the picks as CSV"):
        write_csv(work / "picks.csv", truth, types)
    with timed("read the picks from CSV"):
        read_csv(work / "picks.csv", types)
    with timed("write the picks as STAR"):
        write_star(work / "picks.star", truth, types, 10.0)
    with timed("read the picks from STAR"):
        read_star(work / "picks.star", types)
    words = ["evaluate", str(work / "picks.csv"), str(folder), "--json"]
    with timed("cryo-pick evaluate"), contextlib.redirect_stdout(io.StringIO()):
        if cryo_pick(words):
            raise SystemExit("cryo-pick evaluate failed")


def _project(folder: Path, n: int) -> None:
    """The first run is written; the others are its files, linked."""
    rng = np.random.default_rng(0)
    project = create_project(folder, "large", CZII_TYPES)
    project.add_tomogram("run-0", rng.normal(size=(4, 8, 8)).astype(np.float32), 10.0, "wbp")
    project.write_picks("run-0", random_picks(PICKS_PER_RUN, rng), "curation", "0")
    for root in ("static", "overlay"):
        runs = folder / root / "ExperimentRuns"
        for i in range(1, n):
            shutil.copytree(runs / "run-0", runs / f"run-{i}", copy_function=os.link)


def measure_candidates(n: int, work: Path, timed: Timed) -> None:
    """One run of `n` candidates, each with a score of every class from both stages."""
    rng = np.random.default_rng(0)
    positions = rng.random((n, 3)) * EXTENT
    stage1 = rng.beta(1, 6, (n, K)).astype(np.float32)
    stage2 = rng.dirichlet(np.ones(K + 1), n).astype(np.float32)
    found = Candidates(positions, stage1, stage2, positions + rng.normal(0, 5, (n, 3)))
    blend = Blend(np.ones(K), np.ones(K), np.zeros(K))
    types = CZII_TYPES
    with timed("write the candidates"):
        write_candidates(work / "candidates.npz", found, types.names)
    with timed("read the candidates"):
        read_candidates(work / "candidates.npz")
    with timed("blend, and suppress duplicates"):
        scored_picks(found, blend, types, 1e-3)
    picks = {"run": random_picks(n, rng)}
    truth = {"run": random_picks(TRUE_PER_CLASS * (K - 1), rng)}
    with timed("fit thresholds, one class empty"):
        fit_thresholds(picks, truth, types, smoothing=0.02)
    with timed("evaluate, one class empty"):
        evaluate(picks, truth, types)
    one = {"run": Picks(picks["run"].positions, np.zeros(n, np.int64), picks["run"].scores)}
    with timed("evaluate, all of one class"):
        evaluate(one, truth, types)
    with timed("write the picks as CSV"):
        write_csv(work / "picks.csv", picks, types)
    with timed("read the picks from CSV"):
        read_csv(work / "picks.csv", types)
    with timed("write the picks as STAR"):
        write_star(work / "picks.star", picks, types, 10.0)
    with timed("read the picks from STAR"):
        read_star(work / "picks.star", types)


MEASURES = {"runs": measure_runs, "candidates": measure_candidates}


def measure(what: str, n: int) -> list[tuple[str, float, float]]:
    """Name, seconds and growth of the peak resident size in MB of each step, in order.

    The peak of a process never falls, so a step counts with what it adds to the peak before it.
    """
    steps: list[tuple[str, float, float]] = []

    @contextlib.contextmanager
    def timed(name: str) -> Iterator[None]:
        before, started = _peak(), time.perf_counter()
        yield
        steps.append((name, time.perf_counter() - started, _peak() - before))

    with tempfile.TemporaryDirectory() as folder:
        MEASURES[what](n, Path(folder), timed)
    steps.append(("all, peak of the process", sum(s for _, s, _ in steps), _peak()))
    return steps


def _peak() -> float:
    """Peak resident size of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(what: str, sizes: list[int]) -> str:
    """Markdown: a row per step, seconds at each size, memory at the largest, growth."""
    columns = []
    for n in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--one", what, str(n)], stdout=subprocess.PIPE, check=True
        )
        columns.append(json.loads(done.stdout))
    heads = [f"{n:,} {what}, s" for n in sizes] + [f"MB added at {sizes[-1]:,}", "time x10"]
    lines = [f"| step | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for rows in zip(*columns, strict=True):
        seconds = [row[1] for row in rows]
        growth = seconds[-1] / max(seconds[-2], 1e-9)
        per_ten = growth ** (1 / np.log10(sizes[-1] / sizes[-2]))
        cells = [f"{s:.3f}" for s in seconds] + [f"{rows[-1][2]:.0f}", f"{per_ten:.1f}"]
        lines.append(f"| {rows[0][0]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--candidates", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    for what in MEASURES:
        print(f"{table(what, getattr(args, what))}\n")


if __name__ == "__main__":
    main()

"""Time of the exact threshold fit on a million candidates in six classes.

Run ``python benchmarks/thresholds.py``. Candidates of seven runs of the size of the CZII training
tomograms, random scores, 200 true particles per class and run, half of them hit closely. The first
row is what docs/results.md quotes; in the second every candidate counts in all six classes, which
is six million picks.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks
from metrics.thresholds import fit_thresholds

EXTENT = (1840.0, 6300.0, 6300.0)  # Å, zyx
RUNS = 7
PARTICLES = 200


def scene(n_candidates: int, rng: np.random.Generator) -> tuple[dict[str, Picks], dict[str, Picks]]:
    """Candidates and truth of all runs; every class has the same share of both."""
    k = len(CZII_TYPES)
    picks, truth = {}, {}
    for i in range(RUNS):
        real = rng.random((PARTICLES * k, 3)) * EXTENT
        classes = np.arange(len(real)) % k
        truth[f"run{i}"] = Picks(real, classes)
        n_noise = n_candidates // RUNS - len(real) // 2
        near = real[::2] + rng.normal(0, 10, real[::2].shape)
        picks[f"run{i}"] = Picks(
            np.concatenate([near, rng.random((n_noise, 3)) * EXTENT]),
            np.concatenate([classes[::2], rng.integers(0, k, n_noise)]),
            np.concatenate([rng.beta(5, 2, len(near)), rng.beta(1, 6, n_noise)]),
        )
    return picks, truth


def in_every_class(picks: Picks, rng: np.random.Generator) -> Picks:
    """Each candidate as a pick of every class, with a score of its own."""
    k = len(CZII_TYPES)
    return Picks(
        np.repeat(picks.positions, k, axis=0),
        np.tile(np.arange(k), len(picks)),
        rng.random(k * len(picks)),
    )


def main() -> None:
    """Print one row per scene and smoothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    picks, truth = scene(args.candidates, rng)
    many = {run: in_every_class(p, rng) for run, p in picks.items()}
    print(f"{'picks':>10} {'classes':>8} {'smoothing':>10} {'seconds':>8}   best of {args.repeats}")
    for source in (picks, many):
        for smoothing in (0.0, 0.02):
            times = []
            for _ in range(args.repeats):
                start = time.perf_counter()
                fit_thresholds(source, truth, CZII_TYPES, smoothing=smoothing)
                times.append(time.perf_counter() - start)
            n = sum(len(p) for p in source.values())
            print(f"{n:>10,} {len(CZII_TYPES):>8} {smoothing:>10} {min(times):>8.2f}")


if __name__ == "__main__":
    main()

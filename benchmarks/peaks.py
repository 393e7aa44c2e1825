"""Peaks of one class volume: the block search against two max-pools, with the same peaks.

    python benchmarks/peaks.py [--shape D H W] [--repeats N]

prints a table: seconds of the fastest of N runs, and how many times as long the others take.
Compiling the search (once per machine, then cached) is timed apart. The pools alone are timed, not
the comparison that turns them into peaks. Sub-voxel refinement is included in the search's time.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from detector.peaks import find_peaks

KERNEL = 7


def heatmap_like(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussians on a faint smooth ground: nearly nothing is above the threshold."""
    volume = 0.02 * smooth_noise(shape, rng)
    axes = [np.arange(-8, 9)] * 3
    bump = np.exp(-0.5 * sum(a**2 for a in np.meshgrid(*axes)) / 2.5**2).astype(np.float32)
    for _ in range(1000):
        place = [rng.integers(8, n - 8) for n in shape]
        box = tuple(slice(p - 8, p + 9) for p in place)
        np.maximum(volume[box], rng.uniform(0.1, 1) * bump, out=volume[box])
    return volume


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise with a correlation length of a voxel and a standard deviation of 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), 1.0)
    noise /= noise.std()
    return noise


def best_of(repeats: int, run: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(name: str, volume: NDArray[np.float32], threshold: float, repeats: int) -> None:
    """Print one line of the table.

    Raises
    ------
    SystemExit
        If the three don't find the same peaks.
    """
    search = best_of(repeats, lambda: find_peaks(volume[None], threshold, KERNEL))
    alone = best_of(repeats, lambda: find_peaks(volume[None], threshold, KERNEL, threads=1))
    places = find_peaks(volume[None], threshold, KERNEL, subvoxel=False).places
    pools: list[NDArray[np.float32]] = []

    def by_scipy() -> None:
        pools.append(ndimage.maximum_filter(volume, KERNEL, mode="constant", cval=-np.inf))

    def by_torch() -> None:
        tensor = torch.from_numpy(volume)[None, None]
        pooled = torch.nn.functional.max_pool3d(tensor, KERNEL, 1, KERNEL // 2)
        pools.append(pooled[0, 0].numpy())

    scipy_seconds, torch_seconds = best_of(1, by_scipy), best_of(1, by_torch)
    for pooled in pools:
        expected = np.argwhere((pooled == volume) & (volume >= threshold))
        if not np.array_equal(expected, places):
            raise SystemExit(f"{name}: other peaks than a max-pool's")
    print(
        f"| {name} | {len(places)} | {search:.3f} | {alone:.3f} | {scipy_seconds:.2f} "
        f"({scipy_seconds / search:.0f}x) | {torch_seconds:.1f} ({torch_seconds / search:.0f}x) |"
    )


def main() -> None:
    """Time the three on two kinds of volume."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", nargs=3, type=int, default=[184, 630, 630])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    shape = tuple(arguments.shape)
    start = time.perf_counter()
    find_peaks(np.zeros((1, 8, 8, 8), np.float32), 0.5, KERNEL)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, ", end="")
    print(f"{'x'.join(map(str, shape))} float32, kernel {KERNEL}; ", end="")
    print(f"compiled or loaded in {time.perf_counter() - start:.1f} s, not counted below\n")
    print("| volume | peaks | search, s | one thread, s | maximum_filter, s | max_pool3d, s |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    compare(
        "sparse: 1000 Gaussians, threshold 0.1", heatmap_like(shape, rng), 0.1, arguments.repeats
    )
    noise = smooth_noise(shape, rng)
    compare("dense: smooth noise, threshold 0", noise, 0.0, arguments.repeats)
    compare("dense: smooth noise, no threshold", noise, -np.inf, arguments.repeats)


if __name__ == "__main__":
    main()

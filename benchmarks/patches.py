"""How many patches a second the refiner's network scores, by the number that it sees at once.

    python benchmarks/patches.py [--at-once 8 16 32 64 128]

Random weights and noise; the engine and its precision are those that `infer.engine=auto` takes.
Calls of one size after the other, in turns, the best turn of each.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np

from cryo_pick.config import compose
from cryo_pick.parts import build_part
from refiner.engine import make_patch_engine

N_CLASSES, STRIDE, N_PATCHES, TURNS = 6, 2, 512, 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--at-once", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    sizes = parser.parse_args().at_once
    config = compose([])
    refiner = config.refiner
    module = build_part(
        "refiner.networks", refiner.network, refiner.params, "refiner", n_classes=N_CLASSES
    ).eval()
    engine = make_patch_engine(module, config.infer, N_CLASSES, refiner.patch, STRIDE)
    if hasattr(engine, "at_once"):
        engine.at_once = max(sizes)  # what is asked for here, and not its own choice
    rng = np.random.default_rng(0)
    cells = refiner.patch // STRIDE
    best = dict.fromkeys(sizes, 0.0)
    for _ in range(TURNS):
        for size in sizes:
            inputs = (
                rng.standard_normal((size, 1, *[refiner.patch] * 3), np.float32),
                rng.random((size, N_CLASSES, *[cells] * 3), np.float32),
                rng.random((size, N_CLASSES), np.float32),
            )
            engine(inputs)
            started = time.perf_counter()
            for _ in range(N_PATCHES // size):
                engine(inputs)
            done = N_PATCHES // size * size
            best[size] = max(best[size], done / (time.perf_counter() - started))
    print(f"{platform.machine()}, {os.cpu_count()} processors, {engine.name}\n")
    print("| patches at once | patches/s |\n|---|---|")
    for size, speed in best.items():
        print(f"| {size} | {speed:.0f} |")


if __name__ == "__main__":
    main()

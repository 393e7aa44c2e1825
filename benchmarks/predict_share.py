"""Where the time of one `cryo-pick predict` goes: networks, and everything that is not a network.

    python benchmarks/predict_share.py BUNDLE PROJECT RUN [key=value ...]

One process, from its start: importing, loading the bundle (converting and compiling its networks),
then one run of a copick project. Seconds inside the networks are counted around each call. The last
line compares the detectors' voxels per second in the run with those on one tile alone, of the same
shape, with nothing else going on.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import dataclasses  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from cryo_pick.config import compose  # noqa: E402
from cryo_pick.formats.copick import open_project  # noqa: E402
from cryo_pick.pipeline.picker import load_picker  # noqa: E402
from cryo_pick.pipeline.predict import pick_tomogram  # noqa: E402
from cryo_pick.settings import DataSettings  # noqa: E402

IMPORTED = time.perf_counter()


class Timed:
    """An engine that counts the seconds and the calls spent in it."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.seconds, self.voxels = engine, 0.0, 0
        self.shape: tuple[int, ...] = ()
        self.first = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def __call__(self, inputs: Any) -> Any:
        """Run the engine."""
        started = time.perf_counter()
        answer = self.engine(inputs)
        seconds = time.perf_counter() - started
        self.seconds += seconds
        if isinstance(inputs, np.ndarray):
            self.first = self.first or seconds
            self.shape, self.voxels = inputs.shape, self.voxels + inputs.size
        return answer


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("project")
    parser.add_argument("run")
    arguments, words = parser.parse_known_args()
    config = compose(words)
    picker = load_picker(arguments.bundle, None, config.infer, config.candidates)
    engines = [Timed(e) for e in picker.engines]
    refiners = [Timed(e) for e in picker.refiners]
    picker = dataclasses.replace(picker, engines=tuple(engines), refiners=tuple(refiners))
    loaded = time.perf_counter()
    tomogram = open_project(arguments.project).open_tomogram(arguments.run, DataSettings())
    with tempfile.TemporaryDirectory() as folder:
        found, _ = pick_tomogram(tomogram, picker, Path(folder))
    done = time.perf_counter()
    detector = sum(e.seconds for e in engines)
    refiner = sum(e.seconds for e in refiners)
    rest = done - loaded - detector - refiner
    rows = [
        ("importing", IMPORTED - STARTED),
        ("loading the bundle", loaded - IMPORTED),
        ("detectors", detector),
        ("refiners", refiner),
        ("everything else: reading, tiles, blending, peaks, patches", rest),
    ]  # fmt: skip
    print(f"{platform.machine()}, {os.cpu_count()} processors, {len(found)} candidates; ", end="")
    print(f"{picker.engines[0].name}, {', '.join(e.name for e in refiners[:1])}\n")
    print("| part | s | share |\n|---|---|---|")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.1f} | {100 * seconds / (done - STARTED):.0f} % |")
    print(f"| all | {done - STARTED:.1f} | |")
    network = (detector + refiner) / (done - loaded)
    print(f"\nNetworks take {100 * network:.0f} % of the time after start-up.")
    tile = np.random.default_rng(0).standard_normal(engines[0].shape, np.float32)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        engines[0].engine(tile)
        times.append(time.perf_counter() - started)
    alone, within = tile.size / min(times), sum(e.voxels for e in engines) / detector
    print(
        f"Detectors: {within / 1e6:.1f} Mvoxel/s in the run (the first tile, with compiling, took "
        f"{engines[0].first:.1f} s), {alone / 1e6:.1f} on one tile of "
        f"{'x'.join(map(str, tile.shape[2:]))} alone: {100 * within / alone:.0f} %."
    )


if __name__ == "__main__":
    main()

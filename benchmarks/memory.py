"""Peak memory of `cryo-pick predict` with `infer.memory=1GB`: one tomogram, and one 8 times larger.

    python benchmarks/memory.py BUNDLE TOMOGRAM WORK [--memory 1GB] [key=value ...]

TOMOGRAM is an OME-Zarr (level 0 is used), such as
PROJECT/static/ExperimentRuns/RUN/VoxelSpacing10.012/denoised.zarr. The larger volume is the smaller
one put together 2 x 2 x 2; it is written into WORK and deleted afterwards. A third line shows the
floor: a volume of a few voxels, so what libraries and networks take. Each line is one command in a
process of its own; peak memory is that process's largest resident size. TOMOGRAM itself is picked
four times: first without being counted, since a bundle's first use on a machine takes longer (see
batch.py); of the other three the middle time and the largest peak are shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr

from cryo_pick.formats.ome_zarr import open_ome_zarr, write_ome_zarr

_CHUNK = 128


def write_repeated(path: Path, tomogram: Path, shape: tuple[int, int, int]) -> None:
    """An OME-Zarr of any shape with the voxels of another one, repeated; a chunk row at a time."""
    image = open_ome_zarr(tomogram)
    write_ome_zarr(path, np.zeros((1, 1, 1), np.float32), image.voxel_spacing, levels=1)
    target = zarr.create_array(
        str(path), name="0", shape=shape, dtype="float32", overwrite=True, zarr_format=2,
        chunks=tuple(min(_CHUNK, n) for n in shape),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )  # fmt: skip
    voxels = image.array[:]
    z, y, x = (np.arange(n) % m for n, m in zip(shape, voxels.shape, strict=True))
    for low in range(0, shape[0], _CHUNK):
        for left in range(0, shape[1], _CHUNK):
            rows = voxels[np.ix_(z[low : low + _CHUNK], y[left : left + _CHUNK])]
            target[low : low + _CHUNK, left : left + _CHUNK] = rows[:, :, x]


def predicted(words: list[str]) -> tuple[float, float]:
    """Seconds and peak memory, in GB, of `cryo-pick predict` with these words.

    Raises
    ------
    SystemExit
        If it fails.
    """
    code = "import sys; from cryo_pick.cli import main; sys.exit(main())"
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", code, "predict", *words], stdout=2) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"predict ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle")
    parser.add_argument("tomogram", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--sizes", default="tiny,1,8", help="some of tiny,1,8")
    arguments, settings = parser.parse_known_args()
    d, h, w = open_ome_zarr(arguments.tomogram).array.shape
    spawn = multiprocessing.get_context("spawn")
    shapes = {"tiny": (32, 64, 64), "1": (d, h, w), "8": (2 * d, 2 * h, 2 * w)}
    print(f"{platform.machine()}, {os.cpu_count()} processors, infer.memory={arguments.memory}\n")
    print("| volume | in memory as float32, GB | peak resident size, GB | s | times the smaller |")
    print("|---|---|---|---|---|", flush=True)
    warm = arguments.work / "memory-warm"
    first: tuple[float, float] | None = None

    def picked(path: Path, folder: Path) -> tuple[float, float]:
        words = [str(path), "--model", arguments.bundle, "--out", str(folder / "out")]
        return predicted([*words, "--overwrite", f"infer.memory={arguments.memory}", *settings])

    picked(arguments.tomogram, warm)
    shutil.rmtree(warm, ignore_errors=True)
    for size in arguments.sizes.split(","):
        shape = shapes[size]
        folder = arguments.work / f"memory-{size}"
        path = arguments.tomogram if size == "1" else folder / "volume.zarr"
        try:
            if size != "1":
                # In a process of its own: a child's peak counts that of the process it comes from.
                writer = spawn.Process(
                    target=write_repeated, args=(path, arguments.tomogram, shape)
                )
                writer.start()
                writer.join()
            runs = [picked(path, folder) for _ in range(3 if size == "1" else 1)]
            seconds, peak = statistics.median(s for s, _ in runs), max(p for _, p in runs)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        first = (seconds, peak) if size == "1" else first
        ratio = f"{seconds / first[0]:.2f} time, {peak / first[1]:.2f} memory" if first else ""
        name = "x".join(map(str, shape))
        print(
            f"| {name} | {4 * np.prod(shape) / 1e9:.2f} | {peak:.2f} | {seconds:.0f} | {ratio} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

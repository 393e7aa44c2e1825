"""Seconds per tomogram of `cryo-pick predict`: one alone, and a batch of 20.

    python benchmarks/batch.py BUNDLE TOMOGRAM WORK [--count 20] [--repeats 5] [key=value ...]

TOMOGRAM is an OME-Zarr, such as PROJECT/static/ExperimentRuns/RUN/VoxelSpacing10.012/denoised.zarr.
The batch is so many copies of it, in WORK, which are deleted afterwards. Each line is one command,
so its start-up counts; peak memory is the largest resident size of its process. First the bundle is
used with an empty cache, as it is once on each machine, and its networks are converted; then the
one alone is run several times: its median is shown, and between what it lay.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
from pathlib import Path

from memory import predicted

from cryo_pick.formats.ome_zarr import open_ome_zarr


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle")
    parser.add_argument("tomogram", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="of one tomogram alone")
    arguments, settings = parser.parse_known_args()
    shape = "x".join(map(str, open_ome_zarr(arguments.tomogram).array.shape))
    work = arguments.work
    folder, out, cache = (work / f"batch{end}" for end in ("", "-picks", "-cache"))
    os.environ["CRYO_PICK_CACHE"] = str(cache)
    print(f"{platform.machine()}, {os.cpu_count()} processors, {shape} voxels\n")
    print(
        "| tomograms | s | s each | peak resident size, GB | hours for 500 |\n" + "|---" * 5 + "|"
    )
    rows = [
        ("1, first use of the bundle", arguments.tomogram, 1, 1),
        ("1", arguments.tomogram, 1, arguments.repeats),
        (str(arguments.count), folder, arguments.count, 1),
    ]
    try:
        for name, source, count, repeats in rows:
            if source == folder:  # last: copies that are being written would slow others down
                for i in range(count):
                    shutil.copytree(arguments.tomogram, folder / f"run{i:02}.zarr")
                os.sync()
            words = [str(source), "--model", arguments.bundle, "--out", str(out), "--overwrite"]
            runs = [predicted([*words, *settings]) for _ in range(repeats)]
            times = sorted(seconds for seconds, _ in runs)
            seconds, peak = statistics.median(times), max(peak for _, peak in runs)
            between = f" ({times[0]:.1f} to {times[-1]:.1f})" if len(times) > 1 else ""
            each = seconds / count
            print(
                f"| {name} | {seconds:.1f}{between} | {each:.1f} | {peak:.2f} "
                f"| {each * 500 / 3600:.2f} |",
                flush=True,
            )
    finally:
        for path in (folder, out, cache):
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()

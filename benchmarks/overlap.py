"""What tiles of a full-size tomogram have to share: weighted F4 and time by overlap.

    python benchmarks/overlap.py BUNDLE PROJECT [--overlaps 16 32 48 64 96] [--tile Z Y X]

The tomograms of PROJECT take no part in any choice. Each overlap is the largest allowed
(`detector.tiles.MAX_OVERLAP`); tiles are as large as the memory allows, or as given: small ones
show what many borders cost.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from views import judged

from cryo_pick.config import compose
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.pipeline.dataset import load_dataset
from cryo_pick.pipeline.picker import load_picker
from cryo_pick.pipeline.predict import pick_tomogram
from detector import tiles
from detector.tile_plan import plan_tiles


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("project")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[16, 32, 48, 64, 96])
    parser.add_argument("--tile", type=int, nargs=3)
    arguments, words = parser.parse_known_args()
    config = compose([f"data={arguments.project}", *words])
    judge = load_dataset(config)
    sources = find_inputs([arguments.project], config.data)
    infer = replace(config.infer, tile=arguments.tile)
    picker = load_picker(arguments.bundle, None, infer, config.candidates)
    shape = sources[0].open().shape
    print(f"{len(sources)} runs, {picker.engines[0].name}, {picker.stage}; ", end="")
    print(f"effective receptive field {picker.engines[0].receptive_field}\n")
    print("| overlap, up to | tile | evaluations per voxel | weighted F4 | at the best | s |")
    print("|---" * 6 + "|")
    pick_tomogram(sources[0].open(), picker)
    for most in arguments.overlaps:
        tiles.MAX_OVERLAP = most
        plan = plan_tiles(
            shape, picker.engines, picker.infer, len(judge.types), picker.engines[0].output_stride
        )
        score, best, seconds = judged(picker, sources, judge)
        tile = "x".join(map(str, plan.tile))
        print(
            f"| {most} | {tile} | {plan.evaluations:.2f} | {score:.4f} | {best:.4f} "
            f"| {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

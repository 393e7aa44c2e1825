r"""How wide and how deep tiles may be for a network trained on narrow crops: weighted F4 and time.

    python benchmarks/tile_width.py --network NAME --train TRAIN --minutes 8 --work WORK \
        --project PROJECT [--tiles TILE/OVERLAP ...] [key=value ...]

The preset is trained for so long on the first run of TRAIN, kept in WORK, as in against_monai.py,
and runs over PROJECT's runs, which take part in no judgement: they are here to choose by. Tiles and
overlaps such as 16x320x320/4x32x32; F4 of the heatmap's peaks at the thresholds that suit best.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from against_monai import Scene, curves, learnt, weighted_f4

from cryo_pick.config import compose
from cryo_pick.pipeline.dataset import load_dataset
from detector.engine import make_engine
from detector.infer import predict_heatmap
from detector.parts import output_stride
from detector.tile_plan import plan_tiles

CHOICES = [
    f"16x{width}x{width}/{shared}x32x32" for width in (128, 192, 320) for shared in (0, 4, 8)
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", required=True, help="a preset")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--tiles", nargs="+", default=CHOICES)
    arguments, words = parser.parse_known_args()
    module, ranges = learnt(arguments, words)
    config = compose([f"data={arguments.project}", f"model={arguments.network}", *words])
    data, name = load_dataset(config), config.model.network
    stride, k = output_stride(name), len(data.types)
    print(f"{name}, {', '.join(data.runs)}\n")
    print("| tile | shared | evaluations per voxel | weighted F4 | of each run | s |")
    print("|---" * 6 + "|")
    for choice in arguments.tiles:
        tile, overlap = ([int(n) for n in part.split("x")] for part in choice.split("/"))
        infer = replace(config.infer, tile=tile, overlap=overlap)
        engine = make_engine(module, infer, stride, ranges=ranges)
        scores, seconds, evaluations = [], 0.0, 0.0
        for run in data.runs.values():
            volume = np.ascontiguousarray(run.tomogram.volume[:, :, :], np.float32)
            evaluations = plan_tiles(volume.shape, [engine], infer, k, stride).evaluations
            started = time.perf_counter()
            heatmap = predict_heatmap(volume, [engine], infer, k, stride)
            seconds += time.perf_counter() - started
            scene = Scene(name, module, config, volume, config.candidates, ranges, data, run)
            found = curves(scene, heatmap)
            scores.append(float(weighted_f4(scene, found, found)))
        print(
            f"| {'x'.join(map(str, tile))} | {'x'.join(map(str, overlap))} | {evaluations:.2f} "
            f"| {np.mean(scores):.4f} | {' '.join(f'{s:.3f}' for s in scores)} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

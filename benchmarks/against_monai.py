"""Stage 1, the same weights: our engine against MONAI's sliding window with the deck's tiling.

    python benchmarks/against_monai.py [--network NAME] [--size Z Y X] [key=value ...]
    python benchmarks/against_monai.py --bundle BUNDLE --project PROJECT [key=value ...]

The first form runs a network with random weights over noise; the second a bundle's first detector
over the first run of a project, and prints the weighted F4 of both heatmaps' picks as well. MONAI
runs torch eagerly in fp32 on tiles of 16x128x128 that share 0.5 along z and 0.4 along y and x; ours
runs as `infer` says, by default the fastest engine on the largest tiles. Start-up and reading are
not counted on either side.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from torch import nn

from cryo_pick.config import Config, compose
from cryo_pick.formats.copick import open_project
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.objects import CZII_TYPES
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.predict import picks_of
from cryo_pick.settings import DataSettings
from cryo_pick.weights import load_network
from detector.candidates import heatmap_candidates
from detector.engine import make_engine
from detector.heatmap import Heatmap
from detector.infer import predict_heatmap
from detector.parts import output_stride
from detector.settings import CandidatesSettings
from detector.train import build_detector
from metrics.evaluate import evaluate

TILE, OVERLAP = (16, 128, 128), (0.5, 0.4, 0.4)


def by_monai(module: nn.Module, volume: np.ndarray, stride: int) -> Heatmap:
    """The heatmap as MONAI's inferer makes it."""
    with torch.inference_mode():
        values = sliding_window_inference(
            torch.from_numpy(volume)[None, None], TILE, 1, module, overlap=OVERLAP, mode="gaussian"
        )
    return Heatmap(np.clip(values[0].numpy(), 0, 1).astype(np.float16), stride)


def timed(run: Callable[[], Heatmap]) -> tuple[float, Heatmap]:
    """Seconds of one run, and what it gave."""
    started = time.perf_counter()
    heatmap = run()
    return time.perf_counter() - started, heatmap


def weighted_f4(bundle: Path, project: Path, run: str, heatmap: Heatmap) -> float:
    """Of stage 1's picks at the bundle's thresholds."""
    known = read_bundle(bundle)
    opened = open_project(project)
    tomogram = opened.open_tomogram(run, DataSettings())
    found = heatmap_candidates(
        heatmap, tomogram.voxel_spacing, tomogram.origin,
        CandidatesSettings(**known.candidates), known.types,
    )  # fmt: skip
    picks = picks_of(found, known, "one_stage")
    return evaluate({run: picks}, {run: opened.read_picks(run)}, known.types).score


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="shuffle_unet", help="a preset")
    parser.add_argument("--size", type=int, nargs=3, default=[96, 320, 320])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--project", type=Path)
    arguments, words = parser.parse_known_args()
    config: Config = compose(words)
    run = ""
    if arguments.bundle and arguments.project:
        module, spec = load_network(
            arguments.bundle / read_bundle(arguments.bundle).detectors[0], "detector.networks"
        )
        name, k = spec.network, len(spec.classes)
        opened = open_project(arguments.project)
        run = opened.runs[0]
        raw = opened.open_tomogram(run, DataSettings()).array()
        volume = normalize(raw, intensity_statistics(raw))
    else:
        config, k = compose([f"model={arguments.network}", *words]), len(CZII_TYPES)
        name = config.model.network
        module = build_detector(config.model, k, 0).eval()
        volume = np.random.default_rng(0).standard_normal(tuple(arguments.size), np.float32)
    stride = output_stride(name)
    engine = make_engine(module, config.infer, stride)
    # What is set up once for all tomograms of a size: the model, compiled for the tile.
    predict_heatmap(volume, [engine], config.infer, k, stride)
    ours, mine = timed(lambda: predict_heatmap(volume, [engine], config.infer, k, stride))
    theirs, monai = timed(lambda: by_monai(module, volume, stride))
    shape = "x".join(map(str, volume.shape))
    print(f"{platform.machine()}, {os.cpu_count()} processors, {name}, {shape} voxels {run}\n")
    print("| | s | times ours | weighted F4 |\n|---|---|---|---|")
    for label, seconds, heatmap in (
        (f"ours: {engine.name}", ours, mine),
        ("MONAI sliding window, torch fp32, 16x128x128", theirs, monai),
    ):
        f4 = "no truth"
        if run:
            f4 = f"{weighted_f4(arguments.bundle, arguments.project, run, heatmap):.4f}"
        print(f"| {label} | {seconds:.1f} | {seconds / ours:.1f} | {f4} |")


if __name__ == "__main__":
    main()

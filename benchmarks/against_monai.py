"""Stage 1, the same weights: our engine against MONAI's sliding window with the deck's tiling.

    python benchmarks/against_monai.py [--network NAME] [--size Z Y X] [key=value ...]
    python benchmarks/against_monai.py --bundle BUNDLE --project PROJECT [key=value ...]
    python benchmarks/against_monai.py --network NAME --train TRAIN --minutes 20 --work WORK \
        --project PROJECT [key=value ...]

The first form runs a network with random weights over noise; the second a bundle's first detector
over the first run of a project; the third trains the preset for so long on the first run of TRAIN,
kept in WORK, and runs it over the first run of PROJECT. Where particles are known, the weighted F4
of both heatmaps' peaks is printed too, at the thresholds that suit MONAI's best and at those that
suit each itself. MONAI runs torch eagerly in fp32 on tiles of 16x128x128 that share 0.5 along z and
0.4 along y and x; ours runs as `infer` says, by default the fastest engine on the largest tiles, in
int8 where the CPU has it: with the ranges that the training measured, or those of the noise.
Start-up and reading are not counted on either side. Ours is run three times, and the middle one
counts: it is short beside what a machine's speed varies in.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import nn

from cryo_pick.config import Config, compose
from cryo_pick.objects import CZII_TYPES
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.dataset import DataRun, Dataset, load_dataset
from cryo_pick.pipeline.int8_ranges import int8_ranges
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network
from detector.candidates import heatmap_candidates
from detector.engine import make_engine
from detector.heatmap import Heatmap
from detector.infer import predict_heatmap
from detector.int8 import Ranges
from detector.parts import output_stride
from detector.settings import CandidatesSettings
from detector.train import build_detector, train_detector, training_run
from metrics.counts import weighted_mean
from metrics.curves import ThresholdCurve, hits_per_class
from metrics.thresholds import best_threshold
from refiner.blend import Blend, scored_picks

TILE, OVERLAP = (16, 128, 128), (0.5, 0.4, 0.4)


@dataclass(frozen=True)
class Scene:
    """A network, and what it is run over.

    Attributes
    ----------
    name
        Of the network.
    module
    config
        `infer` is read.
    volume : (d, h, w) float32 array, normalised
    candidates
        How peaks are found.
    ranges
        What int8 needs of the network.
    data, run
        Where the volume comes from; None: noise.
    """

    name: str
    module: nn.Module
    config: Config
    volume: NDArray[np.float32]
    candidates: CandidatesSettings
    ranges: Ranges
    data: Dataset | None = None
    run: DataRun | None = None


def noise_scene(arguments: argparse.Namespace, words: Sequence[str]) -> Scene:
    """Random weights over noise."""
    config = compose([f"model={arguments.network}", *words])
    module = build_detector(config.model, len(CZII_TYPES), 0).eval()
    volume = np.random.default_rng(0).standard_normal(tuple(arguments.size), np.float32)
    stride, noise = output_stride(config.model.network), Tomogram(volume, (10.0,) * 3)
    ranges = int8_ranges(module, stride, [noise], config.infer.depth)
    return Scene(config.model.network, module, config, volume, config.candidates, ranges)


def bundle_scene(arguments: argparse.Namespace, words: Sequence[str]) -> Scene:
    """A bundle's first detector over a project's first run."""
    config = compose([f"data={arguments.project}", *words])
    bundle = read_bundle(arguments.bundle)
    module, spec = load_network(arguments.bundle / bundle.detectors[0], "detector.networks")
    candidates = CandidatesSettings(**bundle.candidates)
    return _of_first_run(spec.network, module, config, candidates, spec.int8_ranges)


def learnt_scene(arguments: argparse.Namespace, words: Sequence[str]) -> Scene:
    """A preset trained on the first run of one project over the first run of another."""
    module, ranges = learnt(arguments, words)
    config = compose([f"data={arguments.project}", f"model={arguments.network}", *words])
    return _of_first_run(config.model.network, module, config, config.candidates, ranges)


def learnt(arguments: argparse.Namespace, words: Sequence[str]) -> tuple[nn.Module, Ranges]:
    """A preset trained on the first run of a project, or read where it was, and its ranges."""
    config = compose([
        f"data={arguments.train}", f"model={arguments.network}",
        f"train.optimizer.minutes={arguments.minutes}", "train.optimizer.steps=1000000", *words,
    ])  # fmt: skip
    data = load_dataset(config)
    seen = next(iter(data.runs.values()))
    module, result = train_detector(
        [training_run(seen.tomogram, seen.truth, data.types, config.target)], len(data.types),
        config.model, config.loss, config.augment, config.train, arguments.work,
        target=config.target, on_progress=_Printed(),
    )  # fmt: skip
    print(f"{result.steps} steps on {seen.name} in {result.seconds / 60:.1f} min\n", flush=True)
    stride, depth = output_stride(config.model.network), config.infer.depth
    return module, int8_ranges(module, stride, [seen.tomogram], depth)


class _Printed:
    """Prints a training's numbers once a minute."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, share: float, numbers: dict[str, float]) -> None:
        if time.monotonic() - self.told > 60:
            self.told = time.monotonic()
            print(f"{share:.0%}", {k: round(v, 4) for k, v in numbers.items()}, flush=True)


def _of_first_run(
    name: str,
    module: nn.Module,
    config: Config,
    candidates: CandidatesSettings,
    ranges: Ranges,
) -> Scene:
    data = load_dataset(config)
    run = next(iter(data.runs.values()))
    volume = np.ascontiguousarray(run.tomogram.volume[:, :, :], np.float32)
    return Scene(name, module, config, volume, candidates, ranges, data, run)


def by_monai(module: nn.Module, volume: NDArray[np.float32], stride: int) -> Heatmap:
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


def curves(scene: Scene, heatmap: Heatmap) -> list[ThresholdCurve]:
    """Of each class, what every threshold of the heatmap's peaks counts."""
    if scene.data is None or scene.run is None:
        return []
    types, tomogram = scene.data.types, scene.run.tomogram
    found = heatmap_candidates(
        heatmap, tomogram.voxel_spacing, tomogram.origin, scene.candidates, types
    )
    k = len(types)
    plain = Blend(np.ones(k), np.zeros(k), np.zeros(k))
    picks, truth = scored_picks(found, plain, types), scene.run.truth
    return [h.curve() for h in hits_per_class({"": picks}, {"": truth}, types)]


def weighted_f4(
    scene: Scene, of: Sequence[ThresholdCurve], best_of: Sequence[ThresholdCurve]
) -> str:
    """Of peaks cut where those of `best_of` score best."""
    if scene.data is None:
        return ""
    f = [c.at(best_threshold(b).threshold).fbeta(4.0) for c, b in zip(of, best_of, strict=True)]
    return f"{float(weighted_mean(np.array(f), scene.data.types.weights)):.4f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="shuffle_unet", help="a preset")
    parser.add_argument("--size", type=int, nargs=3, default=[96, 320, 320])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--project", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--work", type=Path)
    arguments, words = parser.parse_known_args()
    if arguments.train:
        scene = learnt_scene(arguments, words)
    elif arguments.bundle:
        scene = bundle_scene(arguments, words)
    else:
        scene = noise_scene(arguments, words)
    infer, volume = scene.config.infer, scene.volume
    k = len(scene.data.types if scene.data else CZII_TYPES)
    stride = output_stride(scene.name)
    engine = make_engine(scene.module, infer, stride, ranges=scene.ranges)
    # What is set up once for all tomograms of a size: the model, compiled for the tile.
    predict_heatmap(volume, [engine], infer, k, stride)
    runs = [timed(lambda: predict_heatmap(volume, [engine], infer, k, stride)) for _ in range(3)]
    ours, mine = sorted(runs, key=itemgetter(0))[1]
    theirs, monai = timed(lambda: by_monai(scene.module, volume, stride))
    shape, run = "x".join(map(str, volume.shape)), scene.run.name if scene.run else "noise"
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, {scene.name}, {shape} voxels, {run}\n"
    )
    print("| | s | times ours | weighted F4 at MONAI's thresholds | at its own |")
    print("|---" * 5 + "|")
    reference = curves(scene, monai)
    for label, seconds, heatmap in (
        (f"ours: {engine.name}", ours, mine),
        ("MONAI sliding window, torch fp32, 16x128x128", theirs, monai),
    ):
        found = curves(scene, heatmap)
        f4 = f"{weighted_f4(scene, found, reference)} | {weighted_f4(scene, found, found)}"
        print(f"| {label} | {seconds:.1f} | {seconds / ours:.1f} | {f4} |")


if __name__ == "__main__":
    main()

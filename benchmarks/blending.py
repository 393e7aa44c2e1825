"""How far a tiled heatmap is from the untiled one, by sharpness of blending and by overlap.

    python benchmarks/blending.py BUNDLE PROJECT [--tile Z Y X]

The bundle's first detector, on a corner of the first run of a project that fits into one tile.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryo_pick.config import compose
from cryo_pick.formats.copick import open_project
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.settings import DataSettings
from cryo_pick.weights import load_network
from detector import tiles
from detector.engine import make_engine
from detector.infer import predict_heatmap
from detector.network_geometry import effective_receptive_field
from detector.parts import output_stride

PEAK = 0.3
"""Cells that are compared as peaks have more than this, untiled."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("project", type=Path)
    parser.add_argument("--tile", type=int, nargs=3, default=[64, 96, 96])
    parser.add_argument("--size", type=int, nargs=3, default=[96, 256, 256])
    parser.add_argument("--overlaps", type=int, nargs="+", default=[16, 32, 48, 64])
    arguments = parser.parse_args()
    path = arguments.bundle / read_bundle(arguments.bundle).detectors[0]
    module, spec = load_network(path, "detector.networks")
    settings = compose(["infer.views=1"]).infer
    stride, n_classes = output_stride(spec.network), len(spec.classes)
    engine = make_engine(module, settings, stride)
    project = open_project(arguments.project)
    raw = project.open_tomogram(project.runs[0], DataSettings()).array()
    volume = normalize(raw, intensity_statistics(raw))
    volume = volume[tuple(slice(n) for n in arguments.size)]

    def heatmap(tile: list[int], overlap: list[int] | None = None) -> np.ndarray:
        chosen = replace(settings, tile=tile, overlap=overlap)
        found = predict_heatmap(volume, [engine], chosen, n_classes, stride)
        return found.values.astype(np.float32)

    untiled = heatmap([tiles.round_up(n, engine.geometry.multiple) for n in volume.shape])
    peaks = untiled > PEAK

    def row(label: float, values: np.ndarray) -> None:
        difference = np.abs(values - untiled)
        rms = np.sqrt(np.square(difference).mean())
        at_peaks = difference[peaks].mean()
        print(f"| {label} | {rms:.5f} | {difference.max():.3f} | {at_peaks:.5f} |", flush=True)

    print(f"{spec.network}, tiles of {arguments.tile}")
    multiple = engine.geometry.multiple
    for mass in (0.95, 0.99, 0.999):
        print(f"field with {mass} of it: {effective_receptive_field(module, multiple, mass)}")
    head = "| root mean square | largest | mean at peaks |\n|---|---|---|---|"
    print(f"\n| overlap {head}")
    for overlap in arguments.overlaps:
        row(overlap, heatmap(arguments.tile, [overlap] * 3))
    print(f"\n| sharpness {head}")
    for sharpness in (1, 2, 3, 4, 8):
        tiles.SHARPNESS = sharpness
        row(sharpness, heatmap(arguments.tile))


if __name__ == "__main__":
    main()

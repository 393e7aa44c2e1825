"""Transposed convolutions in OpenVINO, as they are and as plain ones (detector/subpixel.py).

    python benchmarks/subpixel.py [--presets NAME ...] [--tile D H W] [--repeats N]

One tile through each preset that has transposed convolutions, with random weights, in every number
format that OpenVINO and the CPU have; both forms in turns, the fastest of each.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.config import compose
from cryo_pick.hardware import Precision, cpu_has_bf16
from detector.kept_geometry import kept_geometry
from detector.openvino_convert import convert_network
from detector.openvino_models import cpu_config, openvino_core
from detector.parity import check_shape
from detector.parts import output_stride
from detector.subpixel import without_transposed
from detector.train import build_detector

N_CLASSES = 6
PRESETS = ("unet_half", "unet_tiny", "points_dynunet", "flexunet_resnet34", "unet_resnet101")


def request(module: nn.Module, edge: int, shape: tuple[int, ...], precision: Precision) -> object:
    """The network, compiled for one shape of tile."""
    model = convert_network(module, edge)
    model.reshape({0: openvino.PartialShape(list(shape))})
    compiled = openvino_core().compile_model(model, "CPU", cpu_config(precision))
    return compiled.create_infer_request()


def seconds(run: object, tile: NDArray[np.float32]) -> float:
    """Of one tile."""
    started = time.perf_counter()
    run.infer([tile], share_inputs=True, share_outputs=True)  # type: ignore[attr-defined]
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--tile", nargs=3, type=int, default=[64, 192, 192])
    parser.add_argument("--repeats", type=int, default=4)
    args = parser.parse_args()
    shape = (1, 1, *args.tile)
    tile = np.random.default_rng(0).standard_normal(shape, np.float32)
    print(f"{platform.machine()}, {os.cpu_count()} processors, one tile of {args.tile} voxels\n")
    print("| preset | format | transposed, s | plain, s |")
    print("|---" * 4 + "|", flush=True)
    for name in args.presets:
        model = compose([f"model={name}"]).model
        module = build_detector(model, N_CLASSES, 0).eval()
        if not any(isinstance(m, nn.ConvTranspose3d) for m in module.modules()):
            print(f"| {name} | has none | | |")
            continue
        edge = check_shape(kept_geometry(module, output_stride(model.network)).multiple)[0]
        forms = [module, without_transposed(module)]
        formats: tuple[Precision, ...] = ("fp32", "bf16") if cpu_has_bf16() else ("fp32",)
        for precision in formats:
            with torch.no_grad():
                runs = [request(form, edge, shape, precision) for form in forms]
            best = [float("inf")] * len(runs)
            for _ in range(1 + args.repeats):
                best = [min(b, seconds(r, tile)) for b, r in zip(best, runs, strict=True)]
            told = " | ".join(f"{b:.3f}" for b in best)
            print(f"| {name} | {precision} | {told} |", flush=True)


if __name__ == "__main__":
    main()

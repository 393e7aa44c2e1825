"""Engines on one tile: seconds, voxels per second, memory, and difference to torch in fp32.

    python benchmarks/engines.py [--network PRESET] [--tile D H W] [--repeats N] [--only KIND ...]

prints the table that `engine=auto` and `precision=auto` rest on, for a preset of configs/model with
random weights. Each line runs in a process of its own, so that its peak memory is its own. bf16 and
int8 are left out where the CPU lacks them.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cryo_pick.config import compose
from cryo_pick.hardware import Precision, cpu_has_bf16, cpu_has_int8
from detector.engine import Engine
from detector.engine_torch import TorchEngine
from detector.int8 import measure_ranges
from detector.parts import output_stride
from detector.train import build_detector

N_CLASSES = 6


class PlainTorch:
    """torch as it comes: fp32, contiguous."""

    name = f"torch fp32 contiguous on {torch.get_num_threads()} CPU threads"

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Scores of one batch."""
        with torch.inference_mode():
            return self.module(torch.from_numpy(batch)).numpy()


def engine_of(kind: str, network: str, tile: np.ndarray) -> Engine | PlainTorch:
    """The engine that a line of the table is about; in int8 with ranges of the tile's corner."""
    model = compose([f"model={network}"]).model
    module = build_detector(model, N_CLASSES, 0).eval()
    stride = output_stride(model.network)
    backend, precision = kind.split("-")
    number: Precision = "fp32" if precision in ("fp32", "contiguous") else precision
    if backend == "openvino":
        from detector.engine_openvino import OpenVinoEngine

        corner = torch.from_numpy(tile[:, :, :64, :64, :64])  # torch's memory is not to count
        ranges = measure_ranges(module, [corner]) if number == "int8" else None
        return OpenVinoEngine(module, stride, number, ranges=ranges)
    if backend == "onnx":
        from detector.engine_onnx import OnnxEngine

        return OnnxEngine(module, stride, torch.device("cpu"))
    if precision == "contiguous":
        return PlainTorch(module)
    device = torch.device("cuda" if backend == "cuda" else "cpu")
    return TorchEngine(module, stride, number, device)


def measure(kind: str, network: str, shape: list[int], repeats: int, reference: Path) -> None:
    """Print one line of the table; the first one's scores are what the others are compared with."""
    tile = np.random.default_rng(0).standard_normal((1, 1, *shape), np.float32)
    engine = engine_of(kind, network, tile)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    scores = engine(tile)
    first = time.perf_counter() - start
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        engine(tile)
        times.append(time.perf_counter() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if not reference.exists():
        np.save(reference, scores)
    expected = np.load(reference, allow_pickle=False)
    difference = np.sqrt(np.mean((scores - expected) ** 2) / np.mean(expected**2))
    voxels = float(np.prod(shape))
    print(
        f"| {engine.name} | {first:.2f} | {min(times):.3f} | {voxels / min(times) / 1e6:.1f} "
        f"| {peak / voxels:.0f} | {difference:.1e} |"
    )


def main() -> None:
    """Print the table, one process per line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="shuffle_unet", help="a preset of configs/model")
    parser.add_argument("--tile", nargs=3, type=int, default=[96, 160, 160])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="lines, such as torch-fp32 openvino-int8 (all)")
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reference:
        measure(
            arguments.only[0],
            arguments.network,
            arguments.tile,
            arguments.repeats,
            arguments.reference,
        )
        return
    kinds = ["torch-contiguous", "torch-fp32", "onnx-fp32", "openvino-fp32"]
    kinds += ["torch-bf16", "openvino-bf16"] if cpu_has_bf16() else []
    kinds += ["openvino-int8"] if cpu_has_int8() else []
    kinds += ["cuda-fp32", "cuda-bf16"] if torch.cuda.is_available() else []
    kinds = arguments.only or kinds
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, ", end="")
    print(f"{arguments.network}, one tile of {'x'.join(map(str, arguments.tile))} voxels\n")
    print("| engine | first call, s | best, s | Mvoxel/s | peak bytes/voxel | rms difference |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "reference.npy"
        for kind in kinds:
            words = [sys.executable, __file__, "--only", kind, "--reference", str(reference)]
            words += [
                "--network",
                arguments.network,
                "--tile",
                *map(str, arguments.tile),
                "--repeats",
            ]
            words.append(str(arguments.repeats))
            subprocess.run(words, check=True)


if __name__ == "__main__":
    main()

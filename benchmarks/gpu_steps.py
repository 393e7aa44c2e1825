"""Seconds per tomogram with the deck's tiling, step by step as the challenge's 4th place sped up.

    python benchmarks/gpu_steps.py [--network NAME] [--size Z Y X] [--views N] [--processes N]
        [--peak-tflops T] [key=value ...]

A network with random weights draws the heatmap of a volume of noise on `infer=deck16` tiles, and
the heatmap is searched for peaks. Each line changes one thing: peaks on the GPU, half precision,
CUDA graphs, several processes on one GPU, TensorRT, and our own tiling. What a machine can't do is
left out with its reason, so that on a CPU the script runs too. With `--peak-tflops`, the
processor's peak in the half precision it uses, the share of it that is reached is shown.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

from cryo_pick.config import compose
from cryo_pick.errors import ConfigError
from cryo_pick.objects import CZII_TYPES
from cryo_pick.pipeline.bench import count_flops
from detector.engine import make_engine
from detector.infer import heatmap_slabs
from detector.parts import output_stride
from detector.settings import CandidatesSettings
from detector.stream import peak_stream
from detector.tile_plan import plan_tiles
from detector.train import build_detector

DECK = ["infer=deck16", "infer.engine=torch"]
STEPS: dict[str, tuple[list[str], bool, int]] = {
    "torch fp32, peaks on the CPU": ([*DECK, "infer.precision=fp32"], False, 1),
    "peaks on the GPU": ([*DECK, "infer.precision=fp32"], True, 1),
    "half precision": (DECK, True, 1),
    "CUDA graphs": ([*DECK, "infer.cuda_graphs=true"], True, 1),
    "several processes": (DECK, True, 0),
    "TensorRT": (["infer=deck16", "infer.engine=tensorrt"], True, 1),
    "our tiling": (["infer.engine=auto"], True, 1),
}
"""Settings, whether peaks are searched on the GPU, and processes; 0: as many as are asked for."""


def measure(name: str, arguments: argparse.Namespace, words: list[str]) -> dict[str, Any]:
    """Seconds of one tomogram after a first one, and operations in it."""
    given, on_gpu, _ = STEPS[name]
    config = compose([f"model={arguments.network}", *given, *words])
    config.infer.views = arguments.views
    module = build_detector(config.model, len(CZII_TYPES), 0).eval()
    stride, k = output_stride(config.model.network), len(CZII_TYPES)
    if on_gpu and given != ["infer.engine=auto"] and not torch.cuda.is_available():
        raise ConfigError("needs a GPU")
    engine = make_engine(module, config.infer, stride)
    d, h, w = arguments.size
    volume = np.random.default_rng(0).standard_normal((d, h, w), np.float32)
    plan = plan_tiles((d, h, w), [engine], config.infer, k, stride)
    gpu = torch.device("cuda") if on_gpu and torch.cuda.is_available() else None
    seconds = []
    for _ in range(2):  # the first sets things up
        started = time.perf_counter()
        peaks = peak_stream(CandidatesSettings(), k, plan.cells, stride, gpu)
        for _, slab in heatmap_slabs(volume, [engine], plan, arguments.views):
            peaks.add(slab)
        peaks.finish()
        seconds.append(time.perf_counter() - started)
    flops = count_flops(module, (1, 1, *plan.tile)) * plan.n_tiles * arguments.views
    return {"engine": engine.name, "seconds": seconds[-1], "flops": flops}


def measured_apart(name: str, words: list[str], processes: int) -> list[dict[str, Any]]:
    """The same in as many processes at once."""
    command = [sys.executable, __file__, "--only", name, *words]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    said = [process.communicate()[0] for process in running]
    return [json.loads(text.splitlines()[-1]) for text in said]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", default="shuffle_unet")
    parser.add_argument("--size", type=int, nargs=3, default=[184, 630, 630])
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--only", choices=STEPS, help=argparse.SUPPRESS)
    arguments, words = parser.parse_known_args()
    if arguments.only:
        try:
            print(json.dumps(measure(arguments.only, arguments, words)))
        except ConfigError as error:
            print(json.dumps({"error": str(error)}))
        return
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    print(f"{where}, {arguments.network}, {arguments.views} views\n")
    print(
        "| step | s per tomogram | times the first | TFLOP/s | of the peak |\n|---|---|---|---|---|"
    )
    first: float | None = None
    for name, (_, _, processes) in STEPS.items():
        n = processes or arguments.processes
        rows = measured_apart(name, sys.argv[1:], n)
        if "error" in rows[0]:
            print(f"| {name} | left out: {rows[0]['error']} | | | |", flush=True)
            continue
        seconds = max(row["seconds"] for row in rows) / n
        first = first or seconds
        speed = rows[0]["flops"] / seconds / 1e12
        share = f"{100 * speed / arguments.peak_tflops:.0f} %" if arguments.peak_tflops else ""
        print(
            f"| {name} | {seconds:.2f} | {first / seconds:.2f} | {speed:.3f} | {share} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""What bf16 costs or saves on this CPU: one forward pass of the default detector in both formats.

python benchmarks/precision.py [--edge 64]
"""

from __future__ import annotations

import argparse
import time

import torch

from cryo_pick.hardware import cpu_flags, cpu_has_bf16
from detector.networks import shuffle_unet


def main() -> None:
    """Time both formats and both layouts; print a table with ratios to fp32, channels last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=64, help="of a cubic tile, voxels (64)")
    edge = parser.parse_args().edge
    torch.manual_seed(0)
    image = torch.randn(1, 1, edge, edge, edge)
    seconds = {}
    for layout in (torch.channels_last_3d, torch.contiguous_format):
        module = shuffle_unet.build(6).eval().to(memory_format=layout)
        x = image.to(memory_format=layout)
        for dtype in (torch.float32, torch.bfloat16):
            seconds[layout, dtype] = timed(module, x, dtype)
    reference = seconds[torch.channels_last_3d, torch.float32]
    known = sorted(cpu_flags() & {"avx2", "avx512f", "avx512_bf16", "amx_bf16"})
    print(f"instruction sets: {', '.join(known)}; bf16 in hardware: {cpu_has_bf16()}\n")
    print("| layout | format | ms | times fp32, channels last |")
    print("|---|---|---|---|")
    for (layout, dtype), value in seconds.items():
        name = str(layout).removeprefix("torch.")
        kind = str(dtype).removeprefix("torch.")
        print(f"| {name} | {kind} | {1000 * value:.0f} | {value / reference:.1f} |")


def timed(module: torch.nn.Module, x: torch.Tensor, dtype: torch.dtype) -> float:
    """Least seconds of three passes after a first one."""
    use = dtype == torch.bfloat16
    best = float("inf")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=use):
        for turn in range(4):
            started = time.perf_counter()
            module(x)
            if turn:
                best = min(best, time.perf_counter() - started)
    return best


if __name__ == "__main__":
    main()

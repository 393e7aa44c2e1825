"""Weight gradients of 3D convolutions in bf16: torch's, and ours by slices, each against fp32.

    python benchmarks/conv3d_gradient.py [--threads N]

Each line is computed in a process of its own, since torch's may crash or never return. Kernels of
3 with padding; `plane` is what :data:`cryo_pick.conv3d_gradient.LARGEST_PLANE` limits. Milliseconds
are the best of a few.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from cryo_pick.conv3d_gradient import weight_gradient

SHAPES = (
    (4, 16, 32, 32, 32), (4, 32, 32, 32, 32), (4, 64, 64, 16, 16), (4, 64, 64, 32, 32),
    (1, 256, 256, 4, 16), (1, 1024, 1024, 1, 8), (1, 1024, 1024, 2, 10), (1, 32, 32, 2, 64),
    (1, 96, 96, 4, 48), (1, 64, 192, 4, 64), (1, 768, 768, 2, 16), (1, 256, 256, 2, 32),
    (2, 848, 256, 4, 32), (1, 32, 32, 8, 192), (1, 16, 16, 8, 256), (2, 16, 16, 2, 8),
    (2, 160, 160, 2, 12), (2, 160, 160, 3, 12),
)  # fmt: skip
"""Batch, channels in and out, depth, height and width."""
PATIENCE_S = 30
REPEATS = 4
WRONG = 0.01
"""Share of the largest gradient; roundings to bf16 are below 0.004."""


def gradients(shape: tuple[int, ...]) -> dict[str, Callable[[], Tensor]]:
    """Both ways, and torch in fp32."""
    batch, channels, n_out, depth, edge = shape
    torch.manual_seed(0)

    def drawn(*size: int) -> Tensor:
        values = torch.randn(*size).to(torch.bfloat16)
        return values.to(memory_format=torch.channels_last_3d)

    volume, weight = drawn(batch, channels, depth, edge, edge), drawn(n_out, channels, 3, 3, 3)
    given = drawn(batch, n_out, depth, edge, edge)
    one = (1, 1, 1)

    def torchs(*tensors: Tensor) -> Tensor:
        found: Tensor = torch.ops.aten.convolution_backward(
            *tensors, None, one, one, one, False, (0, 0, 0), 1, [False, True, False]
        )[1]
        return found

    return {
        "fp32": lambda: torchs(given.float(), volume.float(), weight.float()),
        "torch": lambda: torchs(given, volume, weight),
        "slices": lambda: weight_gradient(volume, given, (3, 3, 3), one, one, one),
    }


def one_line(shape: tuple[int, ...], kind: str) -> str:
    """What became of one way: right with its milliseconds, or how it was wrong."""
    ways = gradients(shape)
    right, first = ways["fp32"](), ways[kind]()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        again = ways[kind]()
        times.append(time.perf_counter() - started)
    if first.isnan().any():
        return "NaN"
    if not torch.equal(first, again):
        return "another each time"
    if float((first.float() - right).abs().max() / right.abs().max()) > WRONG:
        return "wrong"
    return f"{1000 * min(times):.1f}"


def in_process(shape: tuple[int, ...], kind: str, threads: int) -> str:
    """The same in a process of its own; `never returns` and `crashes` too."""
    words = [sys.executable, __file__, "--threads", str(threads), "--only", kind, *map(str, shape)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return "never returns"
    return done.stdout.strip() if done.returncode == 0 else "crashes"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("shape", type=int, nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        torch.set_num_threads(arguments.threads)
        print(one_line(tuple(arguments.shape), arguments.only))
        return
    print(f"torch {torch.__version__}, {arguments.threads} threads\n")
    print("| batch | channels | output | size | plane | torch, ms | slices, ms |")
    print("|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        batch, channels, n_out, depth, edge = shape
        plane = -(-max(channels, n_out) // 16) * 16 * edge**2
        found = [in_process(shape, kind, arguments.threads) for kind in ("torch", "slices")]
        print(f"| {batch} | {channels} | {n_out} | {depth}x{edge}x{edge} | {plane} | ", end="")
        print(" | ".join(found), "|", flush=True)


if __name__ == "__main__":
    main()

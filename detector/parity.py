"""Whether a backend computes what torch computes, found here and not in the picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detector.engine import UnsupportedNetwork

TOLERANCE = {"fp32": 2e-3, "bf16": 5e-2, "fp16": 1e-2, "int8": 5e-2}
"""Largest difference to torch fp32, root mean square, as a share of the output's own."""
_TIMES_TORCH = 2.0
"""Or so many times as much as torch itself differs in bf16: another order of rounding."""


def check_against_torch(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    module: nn.Module,
    shape: tuple[int, ...],
    precision: str,
) -> None:
    """Run a backend and torch on the same noise.

    Parameters
    ----------
    run
        The backend, from (b, 1, d, h, w) tiles to heatmaps.
    module
        In fp32 on the CPU, for evaluation.
    shape
        Of the noise; best another one than the backend's network was traced with.
    precision
        That the backend computes in: fp32, bf16, fp16 or int8.

    Raises
    ------
    UnsupportedNetwork
        If the backend fails, or says something else.
    """
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    try:
        got = run(noise)
    except RuntimeError as error:
        raise UnsupportedNetwork(f"it does not compile ({error})") from error
    check_answers([got], module, [noise], precision)


def check_answers(
    answers: Sequence[NDArray[np.float32]],
    module: nn.Module,
    inputs: Sequence[NDArray[np.float32]],
    precision: str,
) -> None:
    """Compare what a backend answered with what torch answers in fp32.

    A network that says little about noise, as one does that has learnt what noise is, is mostly
    rounding in bf16, in torch as well: then what torch itself loses is what may be lost.

    Parameters
    ----------
    answers
        One array for each output of the network.
    module
        In fp32 on the CPU, for evaluation.
    inputs
        What it was asked.
    precision
        fp32, bf16, fp16, or int8, which `module` simulates.

    Raises
    ------
    UnsupportedNetwork
        If an answer has another shape, or differs by more than :data:`TOLERANCE` or than twice
        what torch loses in bf16.
    """
    tensors = [torch.from_numpy(np.ascontiguousarray(a)) for a in inputs]
    expected = _answers(module, tensors)
    rounded = expected
    if precision in ("bf16", "int8"):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = _answers(module, tensors)
    for got, right, torchs in zip(answers, expected, rounded, strict=True):
        if got.shape != right.shape:
            raise UnsupportedNetwork(f"its output is {got.shape} where torch's is {right.shape}")
        scale = _root_mean_square(right)
        allowed = max(
            TOLERANCE[precision] * scale, _TIMES_TORCH * _root_mean_square(torchs - right)
        )
        difference = _root_mean_square(got - right)
        if not difference <= allowed:
            raise UnsupportedNetwork(
                f"its output differs from torch's by {difference / max(scale, 1e-30):.2g} "
                f"of its size, where {allowed / max(scale, 1e-30):.2g} is allowed"
            )


def _answers(module: nn.Module, tensors: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    with torch.inference_mode():
        answer = module(*tensors)
    parts = [answer] if isinstance(answer, Tensor) else list(answer)
    return [part.float().numpy() for part in parts]


def _root_mean_square(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def check_shape(multiple: int) -> tuple[int, int]:
    """Edge of the cube that a network is traced on, and the longer edge that it is checked on."""
    edge = max(2 * multiple, 32 // multiple * multiple)
    return edge, edge + multiple

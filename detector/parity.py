"""Whether a backend computes what torch computes, found here and not in the picks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detector.engine import UnsupportedNetwork

TOLERANCE = {"fp32": 2e-3, "bf16": 5e-2, "fp16": 1e-2}
"""Largest difference to torch fp32, root mean square, as a share of the output's own."""


def check_against_torch(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    module: nn.Module,
    shape: tuple[int, ...],
    tolerance: float,
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
    tolerance
        Allowed root mean square of the difference, as a share of the output's own.

    Raises
    ------
    UnsupportedNetwork
        If the backend fails, or says something else.
    """
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(noise)).numpy()
    try:
        got = run(noise)
    except RuntimeError as error:
        raise UnsupportedNetwork(f"it does not compile ({error})") from error
    if got.shape != expected.shape:
        raise UnsupportedNetwork(f"its output is {got.shape} where torch's is {expected.shape}")
    scale = float(np.sqrt(np.mean(np.square(expected))))
    difference = float(np.sqrt(np.mean(np.square(got - expected))))
    if not difference <= tolerance * scale:
        raise UnsupportedNetwork(
            f"its output differs from torch's by {difference / max(scale, 1e-30):.2g} "
            f"of its size, where {tolerance:g} is allowed"
        )


def check_shape(multiple: int) -> tuple[int, int]:
    """Edge of the cube that a network is traced on, and the longer edge that it is checked on."""
    edge = max(2 * multiple, 32 // multiple * multiple)
    return edge, edge + multiple

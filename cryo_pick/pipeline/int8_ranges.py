"""What goes into a trained detector's layers on the data it was trained on, so int8 can run it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cryo_pick.tomogram import Tomogram
from detector.int8 import rounded, rounding_error
from detector.int8_ranges import least_error_ranges
from detector.kept_geometry import kept_geometry
from detector.subpixel import without_transposed
from detector.tiles import middle_box

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

TILE = (64, 128, 128)
"""Voxels that a network looks at in the middle of a tomogram, or what it has if it is smaller; in
pieces where the network sees less depth at once."""
TOMOGRAMS = 4
LARGEST_ERROR = 0.25
"""Root mean square of what int8 changes in the heatmap, as a share of the heatmap's own; beyond it
a network stays with plain numbers."""


def int8_ranges(
    module: nn.Module, stride: int, tomograms: Sequence[Tomogram], depth: int | None
) -> dict[str, tuple[float, float]]:
    """Range of the inputs of each layer that int8 would round, by the first few tomograms.

    Parameters
    ----------
    module
        A detector on the CPU, for evaluation.
    stride
        Voxels per heatmap cell.
    tomograms
        Normalised; what it was trained on.
    depth
        `infer.depth`: voxels, of what it sees at most.

    Returns
    -------
    dict
        By the layer's name; empty if int8 would change too much of the heatmap, or the tomograms
        are too small for it.
    """
    tiles = calibration_tiles(module, stride, tomograms, depth)
    if not tiles:
        logger.info("no tomogram is large enough to measure what int8 needs: it will not be used")
        return {}
    found = least_error_ranges(module, tiles)
    simulated = rounded(without_transposed(module), found).eval()
    error = rounding_error(module, simulated, tiles)
    if not error <= LARGEST_ERROR:
        logger.warning(
            "int8 would change this detector's heatmap by %.2g of its size, %.2g is allowed: it "
            "will not be used", error, LARGEST_ERROR,
        )  # fmt: skip
        return {}
    logger.info("int8 changes the heatmap by %.2g of its size", error)
    return {name: (_short(low), _short(high)) for name, (low, high) in found.items()}


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def calibration_tiles(
    module: nn.Module, stride: int, tomograms: Sequence[Tomogram], depth: int | None
) -> list[Tensor]:
    """The middle of each of the first tomograms that is large enough, in tiles (1, 1, d, h, w).

    The arguments are those of :func:`int8_ranges`.
    """
    multiples = kept_geometry(module, stride).multiples
    tiles = []
    for tomogram in tomograms[:TOMOGRAMS]:
        box = middle_box(tomogram.shape, TILE, multiples)
        if box is None:
            continue
        z, y, x = box
        deep = z.stop - z.start
        at_once = max(min(deep, depth or deep) // multiples[0] * multiples[0], multiples[0])
        for first in range(z.start, z.stop - at_once + 1, at_once):
            piece = tomogram.volume[first : first + at_once, y, x]
            tiles.append(torch.from_numpy(np.ascontiguousarray(piece, np.float32))[None, None])
    return tiles

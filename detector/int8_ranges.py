"""Ranges of a layer's inputs that lose least when they are rounded to 256 steps between them.

The extremes lose nothing at the ends, but a few large values make all steps coarse. So the ends are
drawn in as long as what is cut off costs less than what finer steps gain: the least mean square
over a histogram of the inputs. Source: Choukroun et al., Low-bit Quantization of Neural Networks
for Efficient Inference, ICCV Workshops 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detector.int8 import NARROWEST, STEPS, look_at_inputs, measure_ranges

_BINS = 4096
_SHARES = np.linspace(0.1, 1.0, 46)
"""Of the extremes, that are tried."""


def least_error_ranges(
    module: nn.Module, tiles: Sequence[Tensor]
) -> dict[str, tuple[float, float]]:
    """For each layer that int8 would round, the range that loses least over some tiles.

    Parameters
    ----------
    module
        In fp32, for evaluation.
    tiles
        (b, 1, d, h, w) each, normalised as in training.
    """
    extremes = measure_ranges(module, tiles)
    counts = _histograms(module, tiles, extremes)
    return {name: best_range(counts[name], *extremes[name]) for name in counts}


def best_range(counts: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """The share of a range, the same at both ends, in which 256 steps lose least.

    Parameters
    ----------
    counts : (n,) array
        Of the values in equal bins from `low` to `high`.
    low, high
        At most and at least 0.
    """
    centres = low + (np.arange(len(counts)) + 0.5) * (high - low) / len(counts)

    def lost(share: float) -> float:
        cut = np.maximum(centres - share * high, 0) + np.maximum(share * low - centres, 0)
        step = share * (high - low) / STEPS
        return float((counts * np.square(cut)).sum() + counts[cut == 0].sum() * step**2 / 12)

    share = float(min(_SHARES[::-1], key=lost))  # the widest of equals
    return share * low, share * high


def _histograms(
    module: nn.Module, tiles: Sequence[Tensor], extremes: Mapping[str, tuple[float, float]]
) -> dict[str, NDArray[np.float64]]:
    """Counts of what goes into layers between its extremes."""
    found = {name: np.zeros(_BINS) for name in extremes}

    def look(name: str, values: Tensor) -> None:
        low, high = extremes[name]
        if high - low >= NARROWEST:
            found[name] += torch.histc(values, _BINS, low, high).double().numpy()

    look_at_inputs(module, tiles, look)
    return found

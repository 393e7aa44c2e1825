"""Heatmaps as half-precision numbers, in which they are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rounded_to_half(
    values: NDArray[np.float32], out: NDArray[np.float16] | None = None
) -> NDArray[np.float16]:
    """Round values in place to the nearest half, and give them as halves.

    As numpy's `astype` does, which takes longer, the more so there and back.

    Parameters
    ----------
    values : (d, h, w) float32 array, from 0 to 1
        Need not be contiguous.
    out : (d, h, w) float16 array
        Where the halves go; None: to a new array.
    """
    from detector.half_kernel import round_to_half

    halves = np.empty(values.shape, np.float16) if out is None else out
    round_to_half(values, values.view(np.uint32), halves.view(np.uint16))
    return halves

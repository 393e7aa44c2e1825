"""Normalisation in one pass over the voxels, compiled; apart, since numba takes time to load."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(nogil=True, cache=True, error_model="numpy")
def normalize_into(
    voxels: NDArray[np.float32],
    median: np.float32,
    scale: np.float32,
    clip: np.float32,
    out: NDArray[np.float32],
) -> int:
    """Write ``(voxels - median) / scale``, cut at +-clip, to `out`.

    Parameters
    ----------
    voxels : (d, h, w) array
        Any strides.
    median, scale, clip
    out : (d, h, w) array

    Returns
    -------
    int
        How many voxels are NaN or infinite, or become so.
    """
    n_bad = 0
    for z in range(voxels.shape[0]):
        for y in range(voxels.shape[1]):
            for x in range(voxels.shape[2]):
                value = (voxels[z, y, x] - median) / scale
                if not np.isfinite(value):
                    n_bad += 1
                out[z, y, x] = min(max(value, -clip), clip)
    return n_bad

"""Cubes around candidates, from the tomogram and from the heatmaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cut_patches(
    volume: NDArray[np.floating], starts: NDArray[np.int64], size: int
) -> NDArray[np.float32]:
    """Cubes of a volume or of a stack of channels; what lies beyond the border is 0.

    Parameters
    ----------
    volume : (..., d, h, w) array
    starts : (n, 3) int array, first voxel of each cube, zyx; may be negative
    size
        Edge in voxels.

    Returns
    -------
    (n, ..., size, size, size) float32 array
    """
    leading, shape = volume.shape[:-3], volume.shape[-3:]
    out = np.zeros((len(starts), *leading, size, size, size), np.float32)
    for patch, start in zip(out, starts, strict=True):
        low = np.maximum(start, 0)
        high = np.minimum(start + size, shape)
        if (high <= low).any():
            continue
        z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
        z_in, y_in, x_in = (slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        patch[..., z_in, y_in, x_in] = volume[..., z, y, x]
    return out


def patch_starts(centres: NDArray[np.float64], size: int, stride: int) -> NDArray[np.int64]:
    """First voxel of the cube around each centre, on the heatmap's grid.

    A start is a multiple of `stride`, so that the heatmap's cube covers the same space exactly.

    Parameters
    ----------
    centres : (n, 3) array, fractional voxel indices, zyx
    size
        Edge in voxels, a multiple of `stride`.
    stride
        Voxels per heatmap cell.
    """
    first = centres - (size - 1) / 2
    return (np.round(first / stride) * stride).astype(np.int64)

"""The heatmap, and the one rule that ties its cells to the voxels of the tomogram.

The rule: with stride s, cell i covers the voxels i s to i s + s - 1, so its centre is the voxel
index ``i s + (s - 1) / 2``. A network of any architecture is held to it by its targets, which are
drawn at these centres: a 3x3x3 convolution of stride 2 and padding 1 looks around voxel 2 i, and
learns to answer for 2 i + 1/2. A mirrored tile whose edges are multiples of s has its cells
mirrored, so test-time flips keep the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def heatmap_to_voxel_index(index: ArrayLike, stride: int) -> NDArray[np.float64]:
    """Voxel index of the centre of a heatmap cell: ``index * stride + (stride - 1) / 2``.

    Parameters
    ----------
    index : (..., 3) array, cells, zyx
        May be fractional.
    stride
        Voxels per cell, at least 1.

    Returns
    -------
    (..., 3) float64 array, voxels, zyx
    """
    return np.asarray(index, np.float64) * stride + (stride - 1) / 2


def voxel_to_heatmap_index(index: ArrayLike, stride: int) -> NDArray[np.float64]:
    """Fractional cell index of a voxel index; the inverse of :func:`heatmap_to_voxel_index`.

    Parameters
    ----------
    index : (..., 3) array, voxels, zyx
    stride
        Voxels per cell, at least 1.

    Returns
    -------
    (..., 3) float64 array, cells, zyx
    """
    return (np.asarray(index, np.float64) - (stride - 1) / 2) / stride


@dataclass(frozen=True, eq=False)
class Heatmap:
    """What a detector says about one tomogram.

    Attributes
    ----------
    values : (k, d', h', w') float16 or float32 array in [0, 1]
        One channel per class; along each axis ``ceil(voxels / stride)`` cells.
    stride
        Voxels per cell.
    """

    values: NDArray[np.floating]
    stride: int

    def __post_init__(self) -> None:
        """Check shape, type and stride.

        Raises
        ------
        ValueError
            If the values aren't a 4-dimensional float array or the stride isn't at least 1.
        """
        if self.values.ndim != 4 or self.values.dtype.kind != "f":
            raise ValueError(
                f"Expected `values` to be a (k, d, h, w) float array, "
                f"but got {self.values.dtype} of shape {self.values.shape}."
            )
        if self.stride < 1:
            raise ValueError(f"Expected `stride` to be 1 or more, but got {self.stride}.")

    @property
    def n_classes(self) -> int:
        """Number of particle classes k."""
        return int(self.values.shape[0])

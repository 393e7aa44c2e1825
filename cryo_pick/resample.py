"""A tomogram at another voxel spacing, with every position kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryo_pick.mapped import box_of
from cryo_pick.tomogram import Tomogram

_TRUNCATE = 3.0
MOST = 4.0
"""Largest factor between two spacings that resampling can bridge without losing the particles."""


def resample(tomogram: Tomogram, voxel_spacing: float) -> Tomogram:
    """Trilinear resampling to an isotropic spacing; blurred first where it gets coarser.

    Nothing is read or computed before the result's volume is sliced.

    The origin stays, and with it every position: index i of the result lies at
    ``origin + i * voxel_spacing``.

    Parameters
    ----------
    tomogram
    voxel_spacing
        Å.

    Raises
    ------
    ValueError
        If the spacing is not above 0, or the spacings differ by more than a factor of four.
    """
    if not voxel_spacing > 0:
        raise ValueError(
            f"Expected argument `voxel_spacing` to be above 0 Å, but got {voxel_spacing}."
        )
    old = np.array(tomogram.voxel_spacing)
    step = voxel_spacing / old
    if max(step.max(), (1 / step).max()) > MOST:
        raise ValueError(
            f"voxel spacing {old.mean():.3f} Å is more than {MOST:g} times away "
            f"from {voxel_spacing:.3f} Å"
        )
    # As many voxels as have their centre within the old ones'; rounding must not cost the last.
    shape = np.floor((np.array(tomogram.shape) - 1) / step + 1e-6).astype(int) + 1
    volume = ResampledVolume(tomogram.volume, step, (int(shape[0]), int(shape[1]), int(shape[2])))
    spacing = (voxel_spacing,) * 3
    return Tomogram(volume, spacing, tomogram.origin, tomogram.run, tomogram.tomo_type)


class ResampledVolume:
    """A volume on another grid; a slice is computed from the voxels that it depends on.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    step : (3,) array
        Old voxels per new one, zyx.
    shape
        Of the new grid, which starts where the old one does.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, volume: Any, step: NDArray[np.float64], shape: tuple[int, int, int]) -> None:
        self._volume, self._step, self.shape = volume, step, shape
        self._sigma = np.where(step > 1, 0.5 * np.sqrt(np.maximum(step**2 - 1, 0)), 0)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        box = box_of(index)
        if box is not None:
            return self._box(box)
        return np.asarray(self._box((slice(None),) * 3)[index], np.float32)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _box(self, box: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        ends = [s.indices(n)[:2] for s, n in zip(box, self.shape, strict=True)]
        first = np.array([a for a, _ in ends])
        shape = tuple(max(b - a, 0) for a, b in ends)
        if not all(shape):
            return np.empty(shape, np.float32)
        last = first + np.array(shape) - 1
        blur = (_TRUNCATE * self._sigma + 0.5).astype(int)
        low = np.floor(first * self._step).astype(int) - blur
        high = np.floor(last * self._step).astype(int) + 2 + blur
        low, high = np.maximum(low, 0), np.minimum(high, np.array(self._volume.shape))
        low = np.minimum(low, high - 1)
        old = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        voxels = np.asarray(self._volume[old], np.float32)
        if self._sigma.any():
            voxels = ndimage.gaussian_filter(
                voxels, self._sigma, mode="nearest", truncate=_TRUNCATE
            )
        result: NDArray[np.float32] = ndimage.affine_transform(
            voxels, self._step, first * self._step - low, output_shape=shape, order=1,
            mode="nearest", output=np.float32,
        )  # fmt: skip
        return result

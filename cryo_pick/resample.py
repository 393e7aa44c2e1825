"""A tomogram at another voxel spacing, with every position kept."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cryo_pick.tomogram import Tomogram

MOST = 4.0
"""Largest factor between two spacings that resampling can bridge without losing the particles."""


def resample(tomogram: Tomogram, voxel_spacing: float) -> Tomogram:
    """Trilinear resampling to an isotropic spacing; blurred first where it gets coarser.

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
    volume = tomogram.array()
    sigma = np.where(step > 1, 0.5 * np.sqrt(np.maximum(step**2 - 1, 0)), 0)
    if sigma.any():
        volume = ndimage.gaussian_filter(volume, sigma, mode="nearest", truncate=3)
    # As many voxels as have their centre within the old ones'; rounding must not cost the last.
    shape = np.floor((np.array(volume.shape) - 1) / step + 1e-6).astype(int) + 1
    out = ndimage.affine_transform(
        volume, step, output_shape=tuple(shape.tolist()), order=1, mode="nearest", output=np.float32
    )
    spacing = (voxel_spacing,) * 3
    return Tomogram(out, spacing, tomogram.origin, tomogram.run, tomogram.tomo_type)

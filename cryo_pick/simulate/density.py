"""Density of one molecule on a small grid: its scale, centre, size and pose.

A density grid is a cube with an odd edge; its middle voxel is the molecule's centre, which is the
position that the truth states. Protein packed as in its bulk has density 1 and ice has 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Volume = NDArray[np.float32]

BULK_QUANTILE = 0.9
BULK_FLOOR = 0.1
EXTENT_MASS = 0.98
EMPTY_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Density:
    """One molecule in its reference pose.

    Attributes
    ----------
    name
    grid : (n, n, n) float32 array, n odd, zyx
        Bulk 1, ice 0; the middle voxel is the centre.
    voxel_spacing : Å
    extent : Å
        Radius about the centre that holds 98 % of the mass: molecules whose spheres of this
        radius do not meet do not overlap.
    """

    name: str
    grid: Volume
    voxel_spacing: float
    extent: float = field(init=False)
    _coefficients: Volume = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the grid; derive the extent and the spline coefficients that `pose` samples.

        Raises
        ------
        ValueError
            If the grid isn't an odd cube, has a value that is no number, or holds no mass.
        """
        grid = np.asarray(self.grid, np.float32)
        if grid.ndim != 3 or len(set(grid.shape)) != 1 or grid.shape[0] % 2 == 0:
            raise ValueError(
                f"Expected the grid of {self.name} to be an odd cube, but got shape {grid.shape}."
            )
        if not np.isfinite(grid).all() or grid.sum() <= 0:
            raise ValueError(
                f"Expected the grid of {self.name} to be finite with a mass above 0, "
                f"but got a mass of {grid.sum()}."
            )
        extent = mass_radius(grid, EXTENT_MASS) * self.voxel_spacing
        coefficients = ndimage.spline_filter(grid, order=3, output=np.float32)
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "extent", float(extent))
        object.__setattr__(self, "_coefficients", coefficients)

    def pose(self, rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> Volume:
        """Density after a rotation about the centre and a shift, by cubic spline interpolation.

        Parameters
        ----------
        rotation : (3, 3) array
            Acts on z y x vectors.
        shift : (3,) array, voxels, zyx
            From the middle voxel of the result; meant to be at most half a voxel.

        Returns
        -------
        (n + 2, n + 2, n + 2) float32 array, zyx
        """
        n = self.grid.shape[0]
        offset = (n - 1) / 2 - rotation.T @ ((n + 1) / 2 + np.asarray(shift))
        posed = ndimage.affine_transform(
            self._coefficients,
            rotation.T,
            offset=offset,
            output_shape=(n + 2,) * 3,
            order=3,
            prefilter=False,
        )
        return np.asarray(posed, np.float32)


def normalize_bulk(grid: Volume) -> Volume:
    """Negative values set to 0, then scaled so that the molecule's bulk is 1.

    The bulk is the 0.9 quantile of the voxels above a tenth of the maximum.

    Raises
    ------
    ValueError
        If no value is above 0.
    """
    positive = np.clip(np.asarray(grid, np.float32), 0, None)
    peak = positive.max(initial=0)
    if not peak > 0:
        raise ValueError("Expected a density with a value above 0, but got none.")
    bulk = np.quantile(positive[positive > BULK_FLOOR * peak], BULK_QUANTILE)
    return np.asarray(positive / bulk, np.float32)


def center_of_mass(grid: Volume) -> NDArray[np.float64]:
    """(3,) centre of mass of a grid, voxels, zyx."""
    return np.array(ndimage.center_of_mass(grid), np.float64)


def mass_radius(grid: Volume, share: float) -> float:
    """Radius about the middle of a grid that holds `share` of its mass, voxels."""
    middle = (np.array(grid.shape) - 1) / 2
    squared = sum(
        (axis - m) ** 2
        for axis, m in zip(np.ogrid[tuple(map(slice, grid.shape))], middle, strict=True)
    )
    radius = np.sqrt(np.asarray(squared)).ravel()
    order = np.argsort(radius)
    mass = np.cumsum(grid.ravel()[order], dtype=np.float64)
    return float(radius[order][np.searchsorted(mass, share * mass[-1])])


def resample(grid: Volume, from_spacing: tuple[float, float, float], to_spacing: float) -> Volume:
    """A molecule on another grid, its centre of mass in the middle voxel.

    Values below zero count as ice. Where voxels get larger, the map is smoothed first.

    Parameters
    ----------
    grid : (d, h, w) array, zyx
    from_spacing : Å, zyx
    to_spacing : Å

    Returns
    -------
    (n, n, n) float32 array, n odd, zyx

    Raises
    ------
    ValueError
        If no value is above 0.
    """
    positive = np.clip(np.asarray(grid, np.float32), 0, None)
    peak = positive.max(initial=0)
    if not peak > 0:
        raise ValueError("Expected a density with a value above 0, but got none.")
    spacing = np.asarray(from_spacing, np.float64)
    ratio = to_spacing / spacing
    widths = 0.5 * np.sqrt(np.maximum(ratio**2 - 1, 0))
    positive = ndimage.gaussian_filter(positive, widths, mode="constant")
    center = center_of_mass(positive)
    occupied = np.argwhere(positive > EMPTY_SHARE * positive.max())
    reach = np.linalg.norm((occupied - center) * spacing, axis=1).max()
    half = int(np.ceil(reach / to_spacing)) + 1
    sampled = ndimage.affine_transform(
        positive, ratio, offset=center - half * ratio, output_shape=(2 * half + 1,) * 3, order=3
    )
    return np.asarray(np.clip(sampled, 0, None), np.float32)

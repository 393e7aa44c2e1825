"""The only conversions between voxel indices and Å, and between z y x and x y z.

One rule, per axis: ``position = origin + index * spacing``, where an integer index is the centre
of a voxel. Everything inside the program is z y x; a file format that wants x y z flips in its
own module, with :func:`flip_axes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = tuple[float, float, float]


def as_vector(value: float | Sequence[float], name: str) -> Vector:
    """A length per axis, z y x; one number stands for all three axes.

    Raises
    ------
    ValueError
        If `value` is neither one finite number nor three of them.
    """
    flat = np.atleast_1d(np.asarray(value, float)).ravel()
    if flat.size not in (1, 3) or not np.isfinite(flat).all():
        raise ValueError(
            f"Expected argument `{name}` to be 1 or 3 finite numbers, but got {value}."
        )
    z, y, x = np.broadcast_to(flat, 3).tolist()
    return z, y, x


def index_to_angstrom(
    index: ArrayLike, voxel_spacing: Vector, origin: Vector = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """Positions of voxel indices.

    Parameters
    ----------
    index : (..., 3) array, voxels, zyx
        May be fractional.
    voxel_spacing, origin : Å, zyx

    Returns
    -------
    (..., 3) float64 array, Å, zyx
    """
    scaled = np.asarray(index, np.float64) * np.asarray(voxel_spacing, np.float64)
    return np.asarray(np.asarray(origin, np.float64) + scaled, np.float64)


def angstrom_to_index(
    positions: ArrayLike, voxel_spacing: Vector, origin: Vector = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """Fractional voxel indices of positions; the inverse of :func:`index_to_angstrom`.

    Parameters
    ----------
    positions : (..., 3) array, Å, zyx
    voxel_spacing, origin : Å, zyx

    Returns
    -------
    (..., 3) float64 array, voxels, zyx
    """
    shifted = np.asarray(positions, np.float64) - np.asarray(origin, np.float64)
    return np.asarray(shifted / np.asarray(voxel_spacing, np.float64), np.float64)


def to_centred(
    positions: ArrayLike,
    shape: Sequence[int],
    pixel: Vector,
    origin: Vector = (0.0, 0.0, 0.0),
    whole: bool = False,
) -> NDArray[np.float64]:
    """Positions counted from the middle of a tomogram.

    The one formula for formats that count from the middle, odd sizes and binning included, per
    axis::

        centred = (position - origin) - shape / 2 * pixel

    `shape` and `pixel` are the *unbinned* tomogram's where it is known. Binning by b puts voxel i
    at the unbinned index b * i, so that the first voxels' centres coincide, `position - origin` is
    the same in both, and b does not appear. The middles do not coincide wherever b doesn't divide
    the shape, so the binned tomogram's own middle stands in for the unbinned one only if nothing
    better is known. An odd shape is not rounded: its middle lies between two voxel indices.

    Parameters
    ----------
    positions : (..., 3) array, Å, zyx
    shape : voxels, zyx
    pixel, origin : Å, zyx
        `origin` is the position of the first voxel's centre.
    whole
        Round ``shape / 2`` down, as EMAN2's boxer does.

    Returns
    -------
    (..., 3) float64 array, Å, zyx

    References
    ----------
    RELION 5 adds ``shape / 2`` as a floating point number to a centred coordinate over the pixel
    size (``ParticleSet::getParticleCoordDecenteredPixel``; 3dem/relion issue 1137, pull request
    1353). EMAN2's ``e2spt_boxer`` adds ``shape // 2`` of the tomogram on display.
    """
    return angstrom_to_index(positions, (1.0, 1.0, 1.0), origin) - _middle(shape, pixel, whole)


def from_centred(
    centred: ArrayLike,
    shape: Sequence[int],
    pixel: Vector,
    origin: Vector = (0.0, 0.0, 0.0),
    whole: bool = False,
) -> NDArray[np.float64]:
    """Positions in Å, z y x; the inverse of :func:`to_centred`, with the same arguments."""
    middle = _middle(shape, pixel, whole)
    return index_to_angstrom(np.asarray(centred, np.float64) + middle, (1.0, 1.0, 1.0), origin)


def _middle(shape: Sequence[int], pixel: Vector, whole: bool) -> NDArray[np.float64]:
    """Å from the centre of the first voxel to the middle of a tomogram."""
    half = np.asarray(shape, np.float64) / 2
    return np.asarray((np.floor(half) if whole else half) * np.asarray(pixel, np.float64))


def flip_axes(points: ArrayLike) -> NDArray[np.float64]:
    """Reverse the last axis: x y z to z y x and back. For modules of file formats only."""
    return np.ascontiguousarray(np.asarray(points, np.float64)[..., ::-1])

"""Molecules as sums of Gaussian blobs: a few lines of geometry instead of an atomic model.

Vectors are (z, y, x) in Å, and a rotation matrix acts on them in this order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from cryo_pick.simulate.density import Density, center_of_mass, normalize_bulk

GRID_SIGMAS = 3.0
# Additive recurrence of the lowest discrepancy known in 3D: powers of the root of g^4 = g + 1.
_R3 = 1.2207440846057596 ** -np.arange(1.0, 4.0)


@dataclass(frozen=True, eq=False)
class Blobs:
    """Gaussian blobs.

    Attributes
    ----------
    centers : (n, 3) float64 array, Å, zyx
    sigmas : (n,) float64 array, Å
    amplitudes : (n,) float64 array
    """

    centers: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    amplitudes: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Broadcast sigmas and amplitudes to one per blob."""
        centers = np.asarray(self.centers, np.float64).reshape(-1, 3)
        n = len(centers)
        object.__setattr__(self, "centers", centers)
        object.__setattr__(self, "sigmas", np.broadcast_to(self.sigmas, n).astype(np.float64))
        object.__setattr__(
            self, "amplitudes", np.broadcast_to(self.amplitudes, n).astype(np.float64)
        )

    def __add__(self, other: Blobs) -> Blobs:
        """Both sets of blobs."""
        return Blobs(
            np.concatenate([self.centers, other.centers]),
            np.concatenate([self.sigmas, other.sigmas]),
            np.concatenate([self.amplitudes, other.amplitudes]),
        )


def blobs(centers: ArrayLike, sigma: float, amplitude: ArrayLike = 1.0) -> Blobs:
    """Blobs of one width at `centers`, (n, 3), Å, zyx."""
    return Blobs(
        np.asarray(centers, np.float64),
        np.asarray(sigma, np.float64),
        np.asarray(amplitude, np.float64),
    )


def symmetrize(unit: Blobs, group: str) -> Blobs:
    """Copies of an asymmetric unit under a point group.

    Parameters
    ----------
    group
        A name that scipy's ``Rotation.create_group`` knows: C2, D2, O, I. The main axis of C and
        D groups is the last one, x.
    """
    rotations = Rotation.create_group(group)
    parts = [Blobs(r.apply(unit.centers), unit.sigmas, unit.amplitudes) for r in rotations]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def ellipsoid(n: int, semi_axes: ArrayLike, center: ArrayLike = (0, 0, 0)) -> NDArray[np.float64]:
    """(n, 3) points, Å, zyx, that fill an ellipsoid evenly; the same points on every call."""
    cube = (0.5 + np.arange(1, 3 * n + 9)[:, None] * _R3) % 1 * 2 - 1
    ball = cube[np.linalg.norm(cube, axis=1) <= 1][:n]
    return np.asarray(ball * np.asarray(semi_axes, np.float64) + np.asarray(center, np.float64))


def path(points: ArrayLike, step: float) -> NDArray[np.float64]:
    """(n, 3) points, Å, zyx, spaced about `step` Å along straight lines through `points`."""
    corners = np.asarray(points, np.float64)
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    stops = np.linspace(0, at[-1], int(at[-1] // step) + 2)
    return np.stack([np.interp(stops, at, corners[:, axis]) for axis in range(3)], axis=1)


def render(name: str, shape: Blobs, voxel_spacing: float) -> Density:
    """Density of blobs on a grid, normalised, with their centre of mass in the middle voxel.

    The blobs are widened by the voxel's own variance, so that the grid holds voxel means and not
    samples.
    """
    weight = shape.amplitudes * shape.sigmas**3
    centers = shape.centers - np.average(shape.centers, axis=0, weights=weight)
    sigmas = np.sqrt(shape.sigmas**2 + voxel_spacing**2 / 12)
    reach = (np.linalg.norm(centers, axis=1) + GRID_SIGMAS * sigmas).max()
    half = int(np.ceil(reach / voxel_spacing))
    axis = np.arange(-half, half + 1) * voxel_spacing
    z, y, x = np.exp(-0.5 * ((axis - centers.T[:, :, None]) / sigmas[:, None]) ** 2)
    yx = (y[:, :, None] * x[:, None, :]).reshape(len(centers), -1)
    weight = shape.amplitudes * (shape.sigmas / sigmas) ** 3
    grid = ((weight[:, None] * z).T @ yx).reshape((2 * half + 1,) * 3)
    return Density(name, normalize_bulk(grid.astype(np.float32)), voxel_spacing)


def centering_error(density: Density) -> float:
    """Distance of a density's centre of mass from its middle voxel, voxels."""
    middle = (density.grid.shape[0] - 1) / 2
    return float(np.linalg.norm(center_of_mass(density.grid) - middle))

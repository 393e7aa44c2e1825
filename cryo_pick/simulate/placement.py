"""Where things lie in the ice: spheres and vesicles that do not meet, inside a slab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from cryo_pick.coordinates import Vector

Points = NDArray[np.float64]

EDGE_MARGIN = 40.0
MEMBRANE_HALF_WIDTH = 35.0
VESICLE_RADII = (180.0, 450.0)
SMALLEST_VESICLE = 120.0
BATCH = 64
BATCHES = 8


@dataclass(frozen=True)
class Box:
    """The ice: a slab across the middle of the volume.

    Attributes
    ----------
    size : Å, zyx
        From the centre of the first voxel to the centre of the last.
    thickness : Å
        Of the ice along z.
    """

    size: Vector
    thickness: float

    def random_centers(self, n: int, radius: float, rng: np.random.Generator) -> Points:
        """(n, 3) centres, Å, zyx, of spheres inside the slab; they may stick out at the sides."""
        slack = max(0.0, self.thickness / 2 - radius)
        z = self.size[0] / 2 + rng.uniform(-slack, slack, n)
        sides = [
            rng.uniform(min(EDGE_MARGIN, s / 2), max(s - EDGE_MARGIN, s / 2), n)
            for s in self.size[1:]
        ]
        return np.stack([z, *sides], axis=1)


@dataclass(frozen=True, eq=False)
class Vesicles:
    """Spherical membranes.

    Attributes
    ----------
    centers : (n, 3) float64 array, Å, zyx
    radii : (n,) float64 array, Å
        To the middle of the bilayer.
    """

    centers: Points
    radii: NDArray[np.float64]


def place_vesicles(n: int, box: Box, rng: np.random.Generator) -> Vesicles:
    """Up to `n` vesicles inside the slab that do not touch; none where the ice is too thin."""
    largest = min(VESICLE_RADII[1], box.thickness / 2 - MEMBRANE_HALF_WIDTH)
    centers, radii = np.empty((0, 3)), np.empty(0)
    if largest < SMALLEST_VESICLE:
        return Vesicles(centers, radii)
    for _ in range(n):
        radius = rng.uniform(min(VESICLE_RADII[0], largest), largest)
        tries = box.random_centers(BATCH, radius + MEMBRANE_HALF_WIDTH, rng)
        gap = cdist(tries, centers) - radii - radius - 2 * MEMBRANE_HALF_WIDTH
        free = tries[(gap > 0).all(axis=1)]
        if len(free):
            centers, radii = np.vstack([centers, free[0]]), np.append(radii, radius)
    return Vesicles(centers, radii)


def place_spheres(
    radii: NDArray[np.float64], box: Box, vesicles: Vesicles, rng: np.random.Generator
) -> Points:
    """Centres of spheres that meet neither each other nor a membrane.

    The largest are placed first, each at the first free one of up to 512 random places.

    Parameters
    ----------
    radii : (n,) array, Å

    Returns
    -------
    (n, 3) float64 array, Å, zyx
        In the order of `radii`; NaN where no place was found.
    """
    centers = np.full((len(radii), 3), np.nan)
    done = np.empty(0, np.int64)
    for i in np.argsort(-radii, kind="stable"):
        for _ in range(BATCHES):
            tries = box.random_centers(BATCH, radii[i], rng)
            free = (cdist(tries, centers[done]) >= radii[done] + radii[i]).all(axis=1)
            wall = np.abs(cdist(tries, vesicles.centers) - vesicles.radii)
            free &= (wall >= radii[i] + MEMBRANE_HALF_WIDTH).all(axis=1)
            if free.any():
                centers[i] = tries[free][0]
                done = np.append(done, i)
                break
    return centers

"""What a candidate is: the particle it sits on, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo_pick.picks import Picks


@dataclass(frozen=True)
class Labels:
    """Truth for a set of places.

    Attributes
    ----------
    classes : (n,) int64 array
        Class of the particle; k where there is none.
    targets : (n, 3) float64 array, Å, zyx
        Centre of that particle; the place itself where there is none.
    """

    classes: NDArray[np.int64]
    targets: NDArray[np.float64]


def label_places(
    places: NDArray[np.float64], truth: Picks, radii: NDArray[np.float64], reach: float
) -> Labels:
    """The particle that each place sits on.

    A place belongs to the particle whose centre is nearest, distances measured in radii, if it
    lies within `reach` radii of it; 0.5 is what the CZII score calls a hit.

    Parameters
    ----------
    places : (n, 3) array, Å, zyx
    truth
    radii : (k,) array, Å
    reach
        In radii.
    """
    n, k = len(places), len(radii)
    classes = np.full(n, k, np.int64)
    targets = np.array(places, np.float64).reshape(n, 3)
    best = np.full(n, np.inf)
    for index, radius in enumerate(radii):
        centres = truth.of_class(index).positions
        if not len(centres) or not n:
            continue
        distance, nearest = cKDTree(centres).query(places)
        closer = (distance <= reach * radius) & (distance / radius < best)
        classes[closer] = index
        targets[closer] = centres[nearest[closer]]
        best[closer] = distance[closer] / radius
    return Labels(classes, targets)

"""Points without doubles: peaks of one class that are too much alike to be two particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryo_pick.picks import Picks
from detector.peaks import Peaks
from detector.suppress import suppress

NEIGHBOURS = 3
"""Cells; edge of the cube in which a point's cell has the largest value."""


def oks_distance(radii: NDArray[np.float64], oks: float) -> NDArray[np.float64]:
    """Distance at which two points of a particle of that radius are that much alike.

    The solution of ``exp(-d² / 2 radius²) = oks``.
    """
    return np.asarray(radii, np.float64) * np.sqrt(-2 * np.log(oks))


def without_doubles(
    peaks: Peaks, radii: NDArray[np.float64], cell: NDArray[np.float64], oks: float
) -> Peaks:
    """Of peaks of one class that are more alike than `oks`, those with the highest scores.

    Parameters
    ----------
    peaks
    radii : (k,) array, Å
    cell : (3,) array, Å
        Edges of a cell.
    oks
        ``exp(-d² / 2 radius²)`` of two points that are still one.

    Returns
    -------
    Peaks
        By class and then from the highest score down.
    """
    picks = Picks(peaks.places * cell, peaks.classes, peaks.scores.astype(np.float64))
    kept = suppress(picks, oks_distance(radii, oks))
    kept = kept[np.argsort(kept.classes, kind="stable")]
    return Peaks(kept.classes, kept.positions / cell, kept.scores.astype(np.float32))

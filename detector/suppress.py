"""Greedy suppression: of picks of one class that are too close to be two particles, the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo_pick.picks import Picks


def suppress(picks: Picks, distances: NDArray[np.float64]) -> Picks:
    """Drop every pick that is no further from a better one of its class than the class allows.

    The rule: picks are visited from the highest score down (ties: in the order given), and a pick
    that stands within the distance of one already kept, or exactly at it, is dropped. So a chain
    of close picks keeps its ends, where averaging would collapse it to its middle.

    Parameters
    ----------
    picks
    distances : (k,) array, Å
        Two particles of a class are further apart than this.

    Returns
    -------
    Picks
        Best first.
    """
    order = np.argsort(-picks.scores, kind="stable")
    picks = picks[order]
    keep = np.ones(len(picks), bool)
    for index, distance in enumerate(distances):
        members = np.flatnonzero(picks.classes == index)
        if len(members) < 2:
            continue
        # Pairs come with i < j, i the better one; in order of i, each i still kept drops its j.
        pairs = cKDTree(picks.positions[members]).query_pairs(distance, output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        alive = np.ones(len(members), bool)
        for i, j in pairs.tolist():
            if alive[i]:
                alive[j] = False
        keep[members] = alive
    return picks[keep]

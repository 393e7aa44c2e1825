"""Greedy suppression: of picks of one class that are too close to be two particles, the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo_pick.picks import Picks

BLOCK = 4096
"""Picks that are held against each other at once; the result doesn't depend on it."""


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
        keep[members] = _kept(picks.positions[members], distance)
    return picks[keep]


def _kept(positions: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    """Which positions stay, best first.

    In blocks: those that are kept are few, as they stand apart, so each block is first held against
    them, and only what is left of it against itself. All pairs at once would grow with the square
    of how densely the candidates lie.
    """
    kept = np.ones(len(positions), bool)
    for first in range(0, len(positions), BLOCK):
        block = slice(first, first + BLOCK)
        if first:
            tree = cKDTree(positions[:first][kept[:first]])
            near = tree.query_ball_point(positions[block], distance, return_length=True)
            kept[block] = near == 0
        left = first + np.flatnonzero(kept[block])
        kept[left] = _kept_of_block(positions[left], distance)
    return kept


def _kept_of_block(positions: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    """The same for a few positions, by all their pairs."""
    kept = np.ones(len(positions), bool)
    if len(positions) < 2:
        return kept
    # Pairs come with i < j, i the better one; in order of i, each i still kept drops its js.
    pairs = cKDTree(positions).query_pairs(distance, output_type="ndarray")
    if not len(pairs):
        return kept
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    better, starts = np.unique(pairs[:, 0], return_index=True)
    for i, worse in zip(better.tolist(), np.split(pairs[:, 1], starts[1:]), strict=True):
        if kept[i]:
            kept[worse] = False
    return kept

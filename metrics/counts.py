"""Counts of right, false and missed picks, and the ratios made of them.

Counts add over runs and folds; ratios never do. So everything here keeps integers until the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fbeta(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, beta: float = 4.0) -> NDArray[np.float64]:
    """F-beta from counts; 0 where nothing was hit.

    ``F = (1 + b²) tp / ((1 + b²) tp + b² fn + fp)``, which for b = 4 is
    ``17 tp / (17 tp + 16 fn + fp)``.

    Parameters
    ----------
    tp, fp, fn : arrays that broadcast together
    beta
        A miss weighs beta squared times a false pick.

    Returns
    -------
    float64 array of the broadcast shape

    Raises
    ------
    ValueError
        If `beta` is not above 0.
    """
    if not beta > 0:
        raise ValueError(f"Expected argument `beta` to be above 0, but got {beta}.")
    square = float(beta) ** 2
    hits = np.asarray(tp, np.float64)
    total = (1 + square) * hits + square * np.asarray(fn, np.float64) + np.asarray(fp, np.float64)
    hits = np.broadcast_to(hits, total.shape)
    return np.divide((1 + square) * hits, total, out=np.zeros(total.shape), where=hits > 0)


def weighted_mean(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Mean over the last axis, divided by the sum of *all* weights.

    Parameters
    ----------
    values : (..., k) array
    weights : (k,) array

    Raises
    ------
    ValueError
        If the weights don't sum to more than 0.
    """
    w = np.asarray(weights, np.float64)
    if not w.sum() > 0:
        raise ValueError(
            f"Expected a particle type with a weight above 0, but got weights {w.tolist()}."
        )
    return np.asarray(np.asarray(values, np.float64) @ w / w.sum())


@dataclass(frozen=True)
class Counts:
    """Right, false and missed picks of one class.

    The official rule may count one pick as two hits, so `fp` may be negative and precision above 1.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Hits per pick; 0 without picks."""
        n_picks = self.tp + self.fp
        return self.tp / n_picks if n_picks > 0 else 0.0

    @property
    def recall(self) -> float:
        """Hits per true particle; 0 without truth."""
        n_truth = self.tp + self.fn
        return self.tp / n_truth if n_truth > 0 else 0.0

    def fbeta(self, beta: float = 4.0) -> float:
        """F-beta; see :func:`fbeta`."""
        return float(fbeta(self.tp, self.fp, self.fn, beta))

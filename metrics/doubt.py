"""How sure the counts of one run are: bootstrap over its particles and picks.

Within one run there are no runs to draw. What can be drawn is each outcome by itself: a particle
was found or missed, a pick was right or false. The outcomes of a class are drawn with replacement,
as many as there are: a multinomial draw of TP, FP and FN. All picks of a run share its ice,
thickness and alignment, so the doubt about a *new* run is larger; :mod:`metrics.bootstrap` draws
runs for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.bootstrap import ClassIntervals, Interval, percentiles, share
from metrics.counts import fbeta, weighted_mean


@dataclass(frozen=True)
class RunIntervals:
    """Ratios of one run with their intervals.

    Attributes
    ----------
    whole
        Weighted F-beta; precision and recall of all picks and particles together.
    per_class
        In class order.
    """

    whole: ClassIntervals
    per_class: tuple[ClassIntervals, ...]


def run_intervals(
    table: NDArray[np.int64],
    weights: ArrayLike,
    rng: np.random.Generator,
    beta: float = 4.0,
    n_resamplings: int = 1000,
    confidence: float = 0.9,
) -> RunIntervals:
    """F-beta, precision and recall of one run, and of its classes.

    Parameters
    ----------
    table : (k, 3) int64 array
        TP, FP and FN of each class. An FP below 0, which the official rule may give, is drawn as 0.
    weights : (k,)
        Of the classes in the F-beta; 0 where the run has no particle of a class.
    rng
        Draws the outcomes.
    confidence
        Share of resamplings inside the interval.

    Raises
    ------
    ValueError
        If no class has a weight above 0, or `confidence` is not between 0 and 1.
    """
    outcomes = np.maximum(table, 0)
    total = outcomes.sum(axis=1, keepdims=True)
    # Nothing is drawn where there is nothing, but the shares have to sum to 1 all the same.
    shares = np.where(total > 0, outcomes / np.maximum(total, 1), 1 / 3)
    drawn = rng.multinomial(total[:, 0], shares, (n_resamplings, len(table)))
    counted = np.concatenate([table[None], drawn])
    scores = fbeta(counted[..., 0], counted[..., 1], counted[..., 2], beta)
    classes = tuple(
        _ratios(counted[:, k], scores[:, k], confidence) for k in range(counted.shape[1])
    )
    whole = _ratios(counted.sum(axis=1), weighted_mean(scores, weights), confidence)
    return RunIntervals(whole, classes)


def _ratios(
    counts: NDArray[np.int64], scores: NDArray[np.float64], confidence: float
) -> ClassIntervals:
    """Intervals from (1 + n, 3) counts and (1 + n,) scores, of which the first are not drawn."""
    tp, fp, fn = counts.T
    ratios = (scores, share(tp, tp + fp), share(tp, tp + fn))
    return ClassIntervals(*(Interval(float(r[0]), *percentiles(r[1:], confidence)) for r in ratios))

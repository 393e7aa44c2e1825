"""How sure the counts of one run are.

Within one run there are no runs to draw, as :mod:`metrics.bootstrap` does. Its outcomes are counts:
a particle was found or missed, a pick was right or false. The shares of TP, FP and FN that may lie
behind them are drawn from their Dirichlet posterior with Jeffreys' prior, a half for each (C.
Goutte and E. Gaussier, A probabilistic interpretation of precision, recall and F-score, ECIR 2005;
for one share it is Jeffreys' interval: L. D. Brown, T. T. Cai and A. DasGupta, Interval estimation
for a binomial proportion, Statistical Science 16, 2001). Unlike a bootstrap it does not call five
right ones of five certain. All picks of a run share its ice, thickness and alignment, so the doubt
about a *new* run is larger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metrics.bootstrap import ClassIntervals, Interval, percentiles
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
    n_draws: int = 1000,
    confidence: float = 0.9,
) -> RunIntervals:
    """F-beta, precision and recall of one run, and of its classes.

    Parameters
    ----------
    table : (k, 3) int64 array
        TP, FP and FN of each class. An FP below 0, which the official rule may give, counts as 0 in
        the draws.
    weights : (k,)
        Of the classes in the F-beta; 0 where the run has no particle of a class.
    rng
        Draws the shares.
    confidence
        Probability of the interval, which is widened to hold the value itself.

    Raises
    ------
    ValueError
        If no class has a weight above 0, or `confidence` is not between 0 and 1.
    """
    values, together = fbeta(table[:, 0], table[:, 1], table[:, 2], beta), table.sum(axis=0)
    shares = _shares(table, rng, n_draws)
    scores = _fbeta_of(shares, beta)
    classes = tuple(
        _intervals(row, float(values[k]), scores[:, k], shares[:, k], confidence)
        for k, row in enumerate(table)
    )
    score, drawn = float(weighted_mean(values, weights)), weighted_mean(scores, weights)
    all_shares = _shares(together[None], rng, n_draws)[:, 0]
    return RunIntervals(_intervals(together, score, drawn, all_shares, confidence), classes)


def _shares(
    table: NDArray[np.int64], rng: np.random.Generator, n_draws: int
) -> NDArray[np.float64]:
    """(n, k, 3) draws of the shares behind (k, 3) counts; 0 where nothing was counted."""
    counts = np.maximum(table, 0)
    weights = rng.standard_gamma(counts + 0.5, (n_draws, *counts.shape))
    shares = weights / weights.sum(axis=-1, keepdims=True)
    return np.where(counts.sum(axis=-1, keepdims=True) > 0, shares, 0.0)


def _fbeta_of(shares: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    tp, fp, fn = np.moveaxis(shares, -1, 0)
    return _ratio((1 + beta**2) * tp, (1 + beta**2) * tp + beta**2 * fn + fp)


def _intervals(
    counts: NDArray[np.int64],
    score: float,
    scores: NDArray[np.float64],
    shares: NDArray[np.float64],
    confidence: float,
) -> ClassIntervals:
    """F-beta, precision and recall from (3,) counts and draws of scores (n,) and shares (n, 3)."""
    found = [_interval(score, scores, confidence)]
    for other in (1, 2):
        value = _ratio(counts[0], counts[0] + counts[other])
        drawn = _ratio(shares[:, 0], shares[:, 0] + shares[:, other])
        found.append(_interval(float(value), drawn, confidence))
    return ClassIntervals(*found)


def _interval(value: float, drawn: NDArray[np.float64], confidence: float) -> Interval:
    low, high = percentiles(drawn, confidence)
    return Interval(value, min(low, value), max(high, value))


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Part by whole; 0 where the whole is nothing."""
    whole = np.asarray(whole, np.float64)
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), 0.0))

"""How sure a score is: bootstrap over runs.

Picks of one run are not independent of each other, so whole runs are drawn, with replacement. The
counts of each run are taken once; a resampling only sums integers. Intervals are percentiles. With
fewer than about ten runs they are too narrow, as every bootstrap of so few is: the real doubt is
larger. A resampling without a particle of some class scores 0 for it, which is the official rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.counts import fbeta, weighted_mean
from metrics.curves import hits_per_class
from metrics.evaluate import counts_by_run
from metrics.thresholds import best_threshold


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A value of A minus that of B, its interval, and how likely A is the better one.

    `probability` is the share of resamplings in which A is above B, equal ones counted half.
    """

    value: float
    low: float
    high: float
    probability: float


@dataclass(frozen=True)
class PairedBootstrap:
    """Differences between two sets of picks on the same resampled runs: A minus B.

    Attributes
    ----------
    score
        Of the weighted F-beta.
    per_class
        Of the F-beta of each class, by name.
    """

    score: Difference
    per_class: dict[str, Difference]


def resample(n_runs: int, n_resamplings: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each run is drawn in each resampling.

    Returns
    -------
    (n_resamplings, n_runs) int64 array
        Every row sums to `n_runs`.

    Raises
    ------
    ValueError
        If there is no run or no resampling.
    """
    for name, value in (("n_runs", n_runs), ("n_resamplings", n_resamplings)):
        if value < 1:
            raise ValueError(f"Expected argument `{name}` to be 1 or more, but got {value}.")
    return rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamplings)


def bootstrap_score(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    rng: np.random.Generator,
    beta: float = 4.0,
    n_resamplings: int = 1000,
    confidence: float = 0.9,
) -> Interval:
    """The official weighted score with its interval over runs.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks by run name, already cut. Runs that the truth lacks are ignored.
    rng
        Draws the runs.
    confidence
        Share of resamplings inside the interval.

    Raises
    ------
    ValueError
        If the truth has no run, or `confidence` is not between 0 and 1.
    """
    table = counts_by_run(picks_by_run, truth_by_run, types)
    drawn = _fbetas(table, resample(len(table), n_resamplings, rng), beta)
    low, high = percentiles(weighted_mean(drawn, types.weights), confidence)
    value = weighted_mean(_fbetas(table, _once(table), beta)[0], types.weights)
    return Interval(float(value), low, high)


@dataclass(frozen=True)
class ClassIntervals:
    """F-beta, precision and recall of one class, each with its interval over runs."""

    fbeta: Interval
    precision: Interval
    recall: Interval


def bootstrap_classes(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    rng: np.random.Generator,
    beta: float = 4.0,
    n_resamplings: int = 1000,
    confidence: float = 0.9,
) -> list[ClassIntervals]:
    """The official counts of each class as ratios, with their intervals over runs, in class order.

    A ratio is 0 in a resampling without picks (precision) or without particles (recall).

    Parameters
    ----------
    picks_by_run, truth_by_run, types, rng, beta, n_resamplings, confidence
        As in :func:`bootstrap_score`.

    Raises
    ------
    ValueError
        If the truth has no run, or `confidence` is not between 0 and 1.
    """
    table = counts_by_run(picks_by_run, truth_by_run, types)
    weights = np.concatenate([_once(table), resample(len(table), n_resamplings, rng)])
    tp, fp, fn = np.moveaxis(np.tensordot(weights, table, axes=1), -1, 0)
    ratios = (fbeta(tp, fp, fn, beta), _share(tp, tp + fp), _share(tp, tp + fn))
    return [
        ClassIntervals(
            *(Interval(float(r[0, k]), *percentiles(r[1:, k], confidence)) for r in ratios)
        )
        for k in range(len(types))
    ]


def paired_bootstrap(
    a: Mapping[str, Picks],
    b: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    rng: np.random.Generator,
    beta: float = 4.0,
    n_resamplings: int = 1000,
    confidence: float = 0.9,
) -> PairedBootstrap:
    """The difference of two sets of picks, A minus B, on the same resampled runs.

    Parameters
    ----------
    a, b
        Picks by run name, already cut.
    truth_by_run, types, rng, beta, n_resamplings, confidence
        As in :func:`bootstrap_score`.

    Raises
    ------
    ValueError
        If the truth has no run, or `confidence` is not between 0 and 1.
    """
    tables = [counts_by_run(picks, truth_by_run, types) for picks in (a, b)]
    weights = resample(len(truth_by_run), n_resamplings, rng)
    drawn = _fbetas(tables[0], weights, beta) - _fbetas(tables[1], weights, beta)
    once = _once(tables[0])
    value = (_fbetas(tables[0], once, beta) - _fbetas(tables[1], once, beta))[0]
    return PairedBootstrap(
        _difference(
            weighted_mean(value, types.weights), weighted_mean(drawn, types.weights), confidence
        ),
        {
            name: _difference(value[i], drawn[:, i], confidence)
            for i, name in enumerate(types.names)
        },
    )


def bootstrap_thresholds(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    rng: np.random.Generator,
    beta: float = 4.0,
    smoothing: float = 0.0,
    n_resamplings: int = 1000,
    confidence: float = 0.9,
) -> list[Interval]:
    """The best threshold of each class, with its interval over runs, in class order.

    The picks are sorted once; each resampling is one pass over them.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks by run name, *not* cut.
    smoothing
        Of the threshold search, :func:`~metrics.thresholds.best_threshold`.

    Returns
    -------
    list of Interval
        Ends are thresholds of resamplings, not values between two; inf means 'keep nothing'.

    Raises
    ------
    ValueError
        If the truth has no run, or `confidence` is not between 0 and 1.
    """
    weights = resample(len(truth_by_run), n_resamplings, rng)
    intervals = []
    for hits in hits_per_class(picks_by_run, truth_by_run, types):
        drawn = [best_threshold(hits.curve(w), beta, smoothing).threshold for w in weights]
        low, high = percentiles(np.array(drawn), confidence)
        value = best_threshold(hits.curve(), beta, smoothing).threshold
        intervals.append(Interval(value, low, high))
    return intervals


def _fbetas(
    table: NDArray[np.int64], weights: NDArray[np.int64], beta: float
) -> NDArray[np.float64]:
    """(b, k) F-beta of each class; table (n_runs, k, 3), weights (b, n_runs)."""
    summed = np.tensordot(weights, table, axes=1)
    return fbeta(summed[..., 0], summed[..., 1], summed[..., 2], beta)


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part by whole; 0 where the whole is none."""
    return np.asarray(np.where(whole > 0, part / np.maximum(whole, 1), 0.0))


def _once(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """The weights that take every run once."""
    return np.ones((1, len(table)), np.int64)


def percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """The ends of the central interval; always values that occur, so infinities do no harm."""
    if not 0 < confidence < 1:
        raise ValueError(
            f"Expected argument `confidence` to be between 0 and 1, but got {confidence}."
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def _difference(
    value: float | NDArray[np.float64], drawn: NDArray[np.float64], confidence: float
) -> Difference:
    """Summarise resampled differences."""
    probability = float((drawn > 0).mean() + (drawn == 0).mean() / 2)
    return Difference(float(value), *percentiles(drawn, confidence), probability)

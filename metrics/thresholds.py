"""The score threshold of each class that maximises F-beta.

A pick is kept when ``score >= threshold``. The search is exact: every distinct score is tried. F as
a function of the threshold is a staircase, constant between two neighbouring scores; with
smoothing, its running mean over a window of that width in score is maximised instead, also exactly,
since the running mean of a staircase is linear between known points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.curves import ThresholdCurve, hits_per_class

PLATEAU_DROP = 0.005
"""F may be this much lower than its maximum within the plateau."""

_TIE = 1e-12  # running means closer than this differ by rounding only


@dataclass(frozen=True)
class ThresholdChoice:
    """The threshold of one class.

    Where no threshold gives an F above 0 (a class without truth, without picks, or whose picks hit
    nothing) all three scores are ``inf``, which keeps nothing, and `f` is 0. JSON has no infinity:
    it is written as null, and null is read as 'keep nothing'.

    Attributes
    ----------
    threshold
        A pick is kept when its score is at least this.
    f
        F-beta of the picks that it was fitted on, cut there; not smoothed.
    plateau_low, plateau_high
        The interval of thresholds around it in which the (smoothed) F is at most 0.005 lower; it
        ends at the lowest and the highest score of the picks.
    """

    threshold: float
    f: float
    plateau_low: float
    plateau_high: float

    def to_json(self) -> dict[str, float | None]:
        """A JSON object; null stands for infinity."""
        fields = {
            "threshold": self.threshold,
            "f": self.f,
            "plateau_low": self.plateau_low,
            "plateau_high": self.plateau_high,
        }
        return {name: value if math.isfinite(value) else None for name, value in fields.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, float | None]) -> ThresholdChoice:
        """The inverse of :meth:`to_json`."""
        fields = ("threshold", "f", "plateau_low", "plateau_high")
        values = [data[name] for name in fields]
        return cls(*(math.inf if v is None else float(v) for v in values))


KEEP_NOTHING = ThresholdChoice(math.inf, 0.0, math.inf, math.inf)
"""The choice where no threshold gives an F above 0."""


def best_threshold(
    curve: ThresholdCurve, beta: float = 4.0, smoothing: float = 0.0
) -> ThresholdChoice:
    """The threshold at which F-beta is highest.

    Without smoothing it is one of the scores, the highest one that reaches the maximum. With
    smoothing it is the middle of the interval where the running mean is highest, between the lowest
    and the highest score. The curve goes on as 0 above the highest score, and unchanged below the
    lowest one, since nothing is known about picks that were never made.

    Parameters
    ----------
    curve
        Counts at every distinct score.
    beta
        A miss weighs beta squared times a false pick.
    smoothing
        Width of the window in score; 0 for none.

    Raises
    ------
    ValueError
        If `smoothing` is negative or `beta` is not above 0.
    """
    if not smoothing >= 0:
        raise ValueError(f"Expected argument `smoothing` to be 0 or more, but got {smoothing}.")
    f = curve.fbeta(beta)
    if f.size == 0 or f.max() <= 0:
        return KEEP_NOTHING
    if smoothing == 0:
        best = int(f.argmax())
        first, last = _run_around(f >= f[best] - PLATEAU_DROP, best)
        scores = curve.thresholds
        return ThresholdChoice(
            float(scores[best]), float(f[best]), float(scores[last]), float(scores[first])
        )
    scores, f = curve.thresholds[::-1], f[::-1]
    at, mean = running_mean(scores, f, smoothing)
    best = int(mean.argmax())
    first, last = _run_around(mean >= mean[best] - _TIE, best)
    threshold = float((at[first] + at[last]) / 2)
    low, high = _plateau(at, mean, best)
    return ThresholdChoice(threshold, float(f[np.searchsorted(scores, threshold)]), low, high)


def running_mean(
    scores: NDArray[np.float64], f: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of a staircase over a window centred on each place where its slope may change.

    Parameters
    ----------
    scores : (t,) array, strictly rising
        The staircase is f[i] on (scores[i - 1], scores[i]], f[0] below and 0 above.
    f : (t,) array
    width
        Of the window, above 0.

    Returns
    -------
    at : (u,) array, strictly rising, from the lowest score to the highest
    mean : (u,) array
        The mean is linear between two neighbours of `at`.
    """
    half = width / 2
    steps = np.diff(scores, prepend=scores[0] - width)
    knots = np.concatenate([[scores[0] - width], scores, [scores[-1] + width]])
    integral = np.concatenate([[0.0], np.cumsum(f * steps)])
    integral = np.append(integral, integral[-1])
    ends = np.concatenate([scores - half, scores + half])
    at = np.unique(np.clip(ends, scores[0], scores[-1]))
    upper = np.interp(at + half, knots, integral)
    return at, (upper - np.interp(at - half, knots, integral)) / width


def fit_thresholds(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    beta: float = 4.0,
    smoothing: float = 0.0,
) -> list[ThresholdChoice]:
    """The best threshold of each class, in class order, on the picks of all runs of the truth.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Runs that the truth lacks are ignored.
    types
        Classes; their radii say what a hit is.
    beta, smoothing
        See :func:`best_threshold`.
    """
    return [
        best_threshold(hits.curve(), beta, smoothing)
        for hits in hits_per_class(picks_by_run, truth_by_run, types)
    ]


def nested_thresholds(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    beta: float = 4.0,
    smoothing: float = 0.0,
) -> dict[int, list[ThresholdChoice]]:
    """For each fold, the thresholds fitted on the runs of all other folds.

    Parameters
    ----------
    folds
        Fold of each run of the truth.

    Returns
    -------
    dict
        Fold to one choice per class.

    Raises
    ------
    ValueError
        If a run of the truth has no fold, or there is one fold only.
    """
    lost = sorted(set(truth_by_run) - set(folds))
    if lost:
        raise ValueError(f"Expected a fold for every run, but got none for {', '.join(lost)}.")
    fold_of_run = np.array([folds[run] for run in truth_by_run], np.int64)
    distinct = sorted(set(fold_of_run.tolist()))
    if len(distinct) == 1:
        raise ValueError(f"Expected 2 folds or more, but got fold {distinct[0]} for every run.")
    per_class = hits_per_class(picks_by_run, truth_by_run, types)
    return {
        fold: [
            best_threshold(hits.curve((fold_of_run != fold).astype(np.int64)), beta, smoothing)
            for hits in per_class
        ]
        for fold in distinct
    }


def cut(picks: Picks, thresholds: Sequence[float] | ArrayLike) -> Picks:
    """The picks whose score is at least the threshold of their class.

    Parameters
    ----------
    thresholds : (k,) array
        One per class; inf keeps nothing.
    """
    return picks[picks.scores >= np.asarray(thresholds, np.float64)[picks.classes]]


def _run_around(true: NDArray[np.bool_], i: int) -> tuple[int, int]:
    """First and last index of the unbroken run of True that holds index `i`."""
    before = np.flatnonzero(~true[:i])
    after = np.flatnonzero(~true[i:])
    first = int(before[-1]) + 1 if before.size else 0
    last = i + int(after[0]) - 1 if after.size else len(true) - 1
    return first, last


def _plateau(at: NDArray[np.float64], mean: NDArray[np.float64], best: int) -> tuple[float, float]:
    """Where the piecewise linear `mean` falls below its maximum by more than the allowed drop."""
    floor = float(mean[best]) - PLATEAU_DROP
    first, last = _run_around(mean >= floor, best)
    low, high = float(at[first]), float(at[last])
    if first > 0:
        low = float(np.interp(floor, mean[first - 1 : first + 1], at[first - 1 : first + 1]))
    if last < len(at) - 1:
        pair = slice(last + 1, last - 1 if last > 0 else None, -1)
        high = float(np.interp(floor, mean[pair], at[pair]))
    return low, high

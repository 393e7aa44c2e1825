"""Picks of whole runs against the truth: the official CZII score, and one-to-one counts beside it.

The official score and its edge cases, as the challenge's own scorer has them:

- A true particle is hit if any pick of its class lies within half its radius; a distance of exactly
  that much is a hit.
- ``tp`` is the number of particles hit, ``fp = n_picks - tp``, ``fn = n_truth - tp``. There is no
  pairing: a second pick on a particle is false, and one pick within reach of two particles gives
  tp 2 and fp -1, so precision and F may exceed 1.
- Counts are summed over runs before F is taken, per class. F is 0 where nothing was hit.
- Runs that the truth lacks are ignored, however many picks they have. Runs of the truth without
  picks are all missed, and picks count as false in a run of the truth that has none of their class.
- The score is the weighted mean of the F of the classes, divided by the sum of *all* weights: a
  class that the truth lacks adds 0 and stays in the denominator. With the challenge's weights one
  class of weight 1 alone, perfect, scores 1/7. Picks of a class that the truth lacks change no
  score; the official scorer doesn't list such a class, here its picks stand in the table as false.
- Two true particles at one place are two particles.

Scores of picks play no role: cut them first (:func:`metrics.thresholds.cut`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.counts import Counts, weighted_mean
from metrics.matching import count_official, count_one_to_one, match_radii
from metrics.thresholds import cut, nested_thresholds

CountRule = Callable[[NDArray[np.float64], NDArray[np.float64], float], Counts]


@dataclass(frozen=True)
class ClassScores:
    """Counts of every class under one rule, and the weighted score made of them.

    Attributes
    ----------
    per_class
        Counts by class name, in class order.
    score
        Weighted mean of F-beta.
    beta
        Of that F-beta.
    """

    per_class: dict[str, Counts]
    score: float
    beta: float

    def to_json(self) -> dict[str, Any]:
        """``{"score", "per_class": {name: {"tp", "fp", "fn", "precision", "recall", "f4"}}}``."""
        return {
            "score": self.score,
            "per_class": {
                name: {
                    "tp": counts.tp,
                    "fp": counts.fp,
                    "fn": counts.fn,
                    "precision": counts.precision,
                    "recall": counts.recall,
                    f"f{self.beta:g}": counts.fbeta(self.beta),
                }
                for name, counts in self.per_class.items()
            },
        }


@dataclass(frozen=True)
class Evaluation:
    """The official score and the one-to-one score of the same picks."""

    official: ClassScores
    one_to_one: ClassScores

    @property
    def score(self) -> float:
        """The official weighted score."""
        return self.official.score

    @property
    def per_class(self) -> dict[str, Counts]:
        """Official counts by class name."""
        return self.official.per_class

    def to_json(self) -> dict[str, Any]:
        """The JSON of ``cryo-pick evaluate --json``."""
        return {**self.official.to_json(), "one_to_one": self.one_to_one.to_json()}


def counts_by_run(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    rule: CountRule = count_official,
) -> NDArray[np.int64]:
    """Counts of every class in every run of the truth.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks by run name. Runs that the truth lacks are ignored.
    types
        Classes; their radii say what a hit is.
    rule
        :func:`~metrics.matching.count_official` or :func:`~metrics.matching.count_one_to_one`.

    Returns
    -------
    (n_runs, k, 3) int64 array
        tp, fp, fn; runs in the order of `truth_by_run`.

    Raises
    ------
    ValueError
        If a class index has no place in `types`.
    """
    radii = match_radii(types)
    table = np.zeros((len(truth_by_run), len(types), 3), np.int64)
    for row, (run, truth) in enumerate(truth_by_run.items()):
        picks = picks_by_run.get(run, Picks.empty())
        for what, points in (("picks", picks), ("truth", truth)):
            if len(points) and points.classes.max() >= len(types):
                raise ValueError(
                    f"Expected class indices of the {what} of run {run!r} below {len(types)}, "
                    f"but got {points.classes.max()}."
                )
        for i, radius in enumerate(radii):
            found = picks.positions[picks.classes == i]
            counts = rule(found, truth.positions[truth.classes == i], float(radius))
            table[row, i] = counts.tp, counts.fp, counts.fn
    return table


def evaluate(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    beta: float = 4.0,
) -> Evaluation:
    """Score picks against the truth; the rules are those of the module docstring.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks by run name. Runs that the truth lacks are ignored.
    types
        Classes, with radii and weights.
    beta
        A miss weighs beta squared times a false pick.

    Raises
    ------
    ValueError
        If a class index has no place in `types`, no type has a weight above 0, or `beta` is not
        above 0.
    """
    return Evaluation(
        *(
            _class_scores(counts_by_run(picks_by_run, truth_by_run, types, rule), types, beta)
            for rule in (count_official, count_one_to_one)
        )
    )


def nested_evaluation(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    beta: float = 4.0,
    smoothing: float = 0.0,
) -> Evaluation:
    """Score all runs, each cut with the thresholds fitted on the runs of the other folds.

    This is the number to report: no run took part in choosing the thresholds that cut it.

    Parameters
    ----------
    folds
        Fold of each run of the truth.
    smoothing
        Of the threshold search, :func:`~metrics.thresholds.best_threshold`.

    Raises
    ------
    ValueError
        If a run of the truth has no fold, or there is one fold only.
    """
    choices = nested_thresholds(picks_by_run, truth_by_run, types, folds, beta, smoothing)
    thresholds = {fold: [c.threshold for c in chosen] for fold, chosen in choices.items()}
    kept = {
        run: cut(picks, thresholds[folds[run]])
        for run, picks in picks_by_run.items()
        if run in truth_by_run
    }
    return evaluate(kept, truth_by_run, types, beta)


def _class_scores(table: NDArray[np.int64], types: ParticleTypes, beta: float) -> ClassScores:
    """Sum a table of :func:`counts_by_run` over runs and score it."""
    rows = table.sum(axis=0).tolist()
    per_class = {name: Counts(*row) for name, row in zip(types.names, rows, strict=True)}
    values = [counts.fbeta(beta) for counts in per_class.values()]
    return ClassScores(per_class, float(weighted_mean(values, types.weights)), beta)

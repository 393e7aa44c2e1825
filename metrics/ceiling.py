"""The best that a second stage could reach: the score of a perfect re-scorer over the candidates.

A perfect re-scorer keeps exactly the candidates that hit something and drops all others. It makes
no false pick; what no candidate reaches, it misses. Without repair a candidate keeps the class that
stage 1 scored highest; with repair it may take any class. Each class is counted by itself, so with
repair one candidate within reach of two particles of different classes serves both, and the numbers
are an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.counts import fbeta, weighted_mean
from metrics.matching import best_hits, match_radii


@dataclass(frozen=True, eq=False)
class Ceiling:
    """What a perfect re-scorer would reach at each candidate threshold (t of them, k classes).

    Attributes
    ----------
    types
        Classes, with the weights of the score.
    n_runs
        Runs of the truth.
    thresholds : (t,) float64 array
        A candidate is admitted when its highest class score is at least this.
    candidates : (t, k) int64 array
        Admitted candidates over all runs, by the class that stage 1 scored highest.
    n_truth : (k,) int64 array
        True particles.
    hits, hits_repaired : (t, k) int64 arrays
        True particles with an admitted candidate of their own class, or of any class, within reach.
    """

    types: ParticleTypes
    n_runs: int
    thresholds: NDArray[np.float64]
    candidates: NDArray[np.int64]
    n_truth: NDArray[np.int64]
    hits: NDArray[np.int64]
    hits_repaired: NDArray[np.int64]

    def recall(self, repaired: bool = False) -> NDArray[np.float64]:
        """(t, k) share of the true particles that a candidate reaches; 0 without truth."""
        hits = self.hits_repaired if repaired else self.hits
        return hits / np.maximum(self.n_truth, 1)

    def fbeta(self, beta: float = 4.0, repaired: bool = False) -> NDArray[np.float64]:
        """(t, k) F-beta of the perfect re-scorer."""
        hits = self.hits_repaired if repaired else self.hits
        return fbeta(hits, 0, self.n_truth - hits, beta)

    def score(self, beta: float = 4.0, repaired: bool = False) -> NDArray[np.float64]:
        """(t,) weighted F-beta, divided by all weights as in the official score."""
        return weighted_mean(self.fbeta(beta, repaired), self.types.weights)

    def to_json(self, beta: float = 4.0) -> list[dict[str, Any]]:
        """One object per threshold, with the score and the table of classes."""
        columns = {
            "candidates": self.candidates,
            "recall": self.recall(),
            "recall_repaired": self.recall(repaired=True),
            f"f{beta:g}": self.fbeta(beta),
            f"f{beta:g}_repaired": self.fbeta(beta, repaired=True),
        }
        return [
            {
                "threshold": float(threshold),
                "candidates_per_run": float(self.candidates[row].sum() / max(self.n_runs, 1)),
                "score": float(self.score(beta)[row]),
                "score_repaired": float(self.score(beta, repaired=True)[row]),
                "per_class": {
                    name: {key: values[row, i].item() for key, values in columns.items()}
                    for i, name in enumerate(self.types.names)
                },
            }
            for row, threshold in enumerate(self.thresholds)
        ]


def perfect_rescorer(
    positions_by_run: Mapping[str, NDArray[np.float64]],
    class_scores_by_run: Mapping[str, NDArray[np.floating[Any]]],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    thresholds: Sequence[float] | ArrayLike = (0.0,),
) -> Ceiling:
    """The ceiling over candidates, for each candidate threshold.

    Parameters
    ----------
    positions_by_run
        (n, 3) candidate positions, Å, zyx, by run. Runs that the truth lacks are ignored.
    class_scores_by_run
        (n, k) score of each class at each candidate, for the same runs.
    truth_by_run
        True particles.
    thresholds : (t,) array
        Candidate thresholds to compare.

    Raises
    ------
    ValueError
        If positions and scores of a run don't go together.
    """
    levels = np.atleast_1d(np.asarray(thresholds, np.float64))
    shape = (len(levels), len(types))
    candidates, hits, repaired = (np.zeros(shape, np.int64) for _ in range(3))
    n_truth = np.zeros(len(types), np.int64)
    for run, truth in truth_by_run.items():
        positions = np.asarray(positions_by_run.get(run, np.empty((0, 3))), np.float64)
        scores = np.asarray(class_scores_by_run.get(run, np.empty((0, len(types)))), np.float64)
        if scores.shape != (len(positions), len(types)):
            raise ValueError(
                f"Expected the class scores of run {run!r} to be ({len(positions)}, {len(types)}), "
                f"but got shape {scores.shape}."
            )
        own, top = scores.argmax(axis=1), scores.max(axis=1)
        for i, radius in enumerate(match_radii(types).tolist()):
            real = truth.positions[truth.classes == i]
            mine = own == i
            n_truth[i] += len(real)
            candidates[:, i] += _at_least(top[mine], levels)
            hits[:, i] += _at_least(best_hits(positions[mine], real, radius, top[mine]), levels)
            repaired[:, i] += _at_least(best_hits(positions, real, radius, top), levels)
    return Ceiling(types, len(truth_by_run), levels, candidates, n_truth, hits, repaired)


def _at_least(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """(t,) how many values reach each level."""
    return len(values) - np.searchsorted(np.sort(values), levels, side="left")

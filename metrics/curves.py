"""What every possible threshold of a class would count, from one sort.

Lowering a threshold past a score admits the picks with that score, so the distinct scores are all
the thresholds there are. A true particle becomes a hit when the best-scoring pick within reach of
it is admitted (official counting), so the hits at a threshold are the particles whose best hit
scores at least that much. Counts are summed over runs before any ratio is taken: the curve of a
cross-validation is that of all out-of-fold picks together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.counts import Counts, fbeta
from metrics.matching import best_hits, match_radii


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Official counts at every distinct score of one class. A pick is kept when score >= threshold.

    Attributes
    ----------
    thresholds : (t,) float64 array, strictly falling
        The distinct scores.
    tp, fp, fn : (t,) int64 arrays
        Counts when the picks are cut at each threshold; `fp` may be negative.
    n_truth
        True particles.
    """

    thresholds: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    n_truth: int

    def fbeta(self, beta: float = 4.0) -> NDArray[np.float64]:
        """(t,) F-beta at each threshold."""
        return fbeta(self.tp, self.fp, self.fn, beta)

    @property
    def precision(self) -> NDArray[np.float64]:
        """(t,) hits per pick; may exceed 1."""
        return self.tp / (self.tp + self.fp)  # at least one pick at each threshold

    @property
    def recall(self) -> NDArray[np.float64]:
        """(t,) hits per true particle; 0 without truth."""
        return self.tp / max(self.n_truth, 1)

    def at(self, threshold: float) -> Counts:
        """Counts when the picks are cut at any threshold, a score or not."""
        n_above = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        if n_above == 0:
            return Counts(0, 0, self.n_truth)
        i = n_above - 1
        return Counts(int(self.tp[i]), int(self.fp[i]), int(self.fn[i]))


@dataclass(frozen=True, eq=False)
class ClassHits:
    """The picks of one class, sorted by score, and the best hit of each true particle.

    Attributes
    ----------
    runs
        Names; an index below is a place in it.
    scores : (n,) float64 array, falling
    pick_runs : (n,) int64 array
        Run of each pick.
    best : (m,) float64 array, falling
        Best score among the picks that hit each particle; -inf where none does.
    truth_runs : (m,) int64 array
        Run of each particle.
    """

    runs: tuple[str, ...]
    scores: NDArray[np.float64]
    pick_runs: NDArray[np.int64]
    best: NDArray[np.float64]
    truth_runs: NDArray[np.int64]

    def curve(self, run_weights: NDArray[np.int64] | None = None) -> ThresholdCurve:
        """The threshold curve, each run taken as often as its weight says.

        Parameters
        ----------
        run_weights : (n_runs,) int64 array or None
            0 leaves a run out altogether: its scores are no thresholds then. None: 1 each.
        """
        if run_weights is None:
            run_weights = np.ones(len(self.runs), np.int64)
        weights = run_weights[self.pick_runs]
        kept = weights > 0
        scores, n_picks = self.scores[kept], np.cumsum(weights[kept])
        last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of each distinct score
        thresholds = scores[last]
        hits = np.concatenate([[0], np.cumsum(run_weights[self.truth_runs])])
        tp = hits[np.searchsorted(-self.best, -thresholds, side="right")]
        return ThresholdCurve(thresholds, tp, n_picks[last] - tp, hits[-1] - tp, int(hits[-1]))


def pool_hits(
    picks_by_run: Mapping[str, Picks], truth_by_run: Mapping[str, Picks], match_radius: float
) -> ClassHits:
    """Sort the picks of one class over all runs of the truth and find each particle's best hit.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks of one class by run (their class index is not looked at). Runs that the truth lacks
        are ignored; runs without picks are all missed.
    match_radius
        Å, inclusive.
    """
    runs = tuple(truth_by_run)
    picks = [picks_by_run.get(run, Picks.empty()) for run in runs]
    best = [
        best_hits(p.positions, truth_by_run[run].positions, match_radius, p.scores)
        for run, p in zip(runs, picks, strict=True)
    ]
    scores, pick_runs = _pool([p.scores for p in picks])
    best_scores, truth_runs = _pool(best)
    return ClassHits(runs, scores, pick_runs, best_scores, truth_runs)


def threshold_curve(
    picks_by_run: Mapping[str, Picks], truth_by_run: Mapping[str, Picks], match_radius: float
) -> ThresholdCurve:
    """Counts at every possible threshold of one class; see :func:`pool_hits` for the arguments."""
    return pool_hits(picks_by_run, truth_by_run, match_radius).curve()


def hits_per_class(
    picks_by_run: Mapping[str, Picks], truth_by_run: Mapping[str, Picks], types: ParticleTypes
) -> list[ClassHits]:
    """:func:`pool_hits` of each class, in class order."""
    return [
        pool_hits(
            {run: p.of_class(i) for run, p in picks_by_run.items() if run in truth_by_run},
            {run: t.of_class(i) for run, t in truth_by_run.items()},
            float(radius),
        )
        for i, radius in enumerate(match_radii(types))
    ]


def _pool(per_run: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All values, highest first, and the run index of each."""
    values = np.concatenate([*per_run, np.empty(0)])
    runs = np.repeat(np.arange(len(per_run)), [len(v) for v in per_run]).astype(np.int64)
    order = np.argsort(-values)  # equal scores are counted together: their order is free
    return values[order], runs[order]

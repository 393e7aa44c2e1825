"""Which candidates a person should look at: where the stages disagree, or the score is close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleTypes
from cryo_pick.pipeline.bundle import StageFit
from refiner.blend import SEPARATION, blended_scores, logit

NEAR = 1.0
"""A score is near its threshold within this difference of log odds: at 0.5, from 0.27 to 0.73."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """A candidate to look at.

    Attributes
    ----------
    run
    position : (3,) float64 array, Å, zyx
    proposed
        Class index that the program gives it.
    reason
        Why it is here, in words.
    urgency
        How far its score is from the threshold, in log odds; the smallest come first.
    disagree
        Whether one stage alone and both together decide otherwise.
    scores, stage1 : (k,) float64 arrays
        Final score and stage 1's score, of every class.
    stage2 : (k + 1,) float64 array or None
        Last is none.
    """

    run: str
    position: NDArray[np.float64]
    proposed: int
    reason: str
    urgency: float
    disagree: bool
    scores: NDArray[np.float64]
    stage1: NDArray[np.float64]
    stage2: NDArray[np.float64] | None


def doubts_of_run(
    run: str, candidates: Candidates, fits: Mapping[str, StageFit], types: ParticleTypes
) -> list[Doubt]:
    """Candidates of one run that are worth a look, the most doubtful first.

    Parameters
    ----------
    run
    candidates
    fits
        Of a bundle: `one_stage`, and `two_stage` where candidates have scores of both.
    types

    Returns
    -------
    list
        No two of one class within 0.75 radii: they are one particle.
    """
    if not len(candidates):
        return []
    fit = fits["one_stage" if candidates.stage2 is None else "two_stage"]
    scores = blended_scores(candidates, fit.blend)
    margin = logit(scores) - logit(np.minimum(fit.cut, 1.0))
    differ = np.zeros(scores.shape, bool)
    if candidates.stage2 is not None:
        alone = fits["one_stage"]
        differ = (blended_scores(candidates, alone.blend) >= alone.cut) != (scores >= fit.cut)
    disagree = np.asarray(differ.any(axis=1))
    distance = np.where(disagree[:, None] & ~differ, np.inf, np.abs(margin))
    proposed = distance.argmin(1)
    urgency = distance[np.arange(len(candidates)), proposed]
    places = candidates.positions if candidates.refined is None else candidates.refined
    found: list[Doubt] = []
    for i in np.lexsort((urgency, ~disagree)).tolist():
        k = int(proposed[i])
        wanted = disagree[i] or urgency[i] <= NEAR
        if wanted and _is_new(places[i], k, found, types):
            words = _reason(float(scores[i, k]), float(fit.cut[k]), bool(disagree[i]))
            second = None if candidates.stage2 is None else candidates.stage2[i].astype(np.float64)
            first = candidates.stage1[i].astype(np.float64)
            found.append(
                Doubt(
                    run, places[i], k, words, float(urgency[i]), bool(disagree[i]), scores[i],
                    first, second,
                )
            )  # fmt: skip
    return found


def most_doubtful(doubts: Sequence[Doubt], limit: int) -> list[Doubt]:
    """At most `limit` of the doubts of all runs: where the stages disagree, then the closest."""
    return sorted(doubts, key=lambda d: (not d.disagree, d.urgency))[:limit]


def _is_new(
    place: NDArray[np.float64], k: int, found: Sequence[Doubt], types: ParticleTypes
) -> bool:
    reach = SEPARATION * types[k].radius
    return all(d.proposed != k or np.linalg.norm(d.position - place) > reach for d in found)


def _reason(score: float, threshold: float, disagree: bool) -> str:
    if not disagree:
        return "its score is near the threshold"
    if score >= threshold:
        return "the second stage brings it in"
    return "the second stage takes it out"

"""One score per candidate and class from both stages, and picks from scores.

For each class, ``score = sigmoid(a logit(s1) + b logit(s2) + c)`` with a, b >= 0: monotone in
both stages, calibrated on out-of-fold candidates, and with b = 0 stage 1 alone. A candidate
gives one pick per class, each cut by that class's threshold: F4 pays for naming both of two
classes that can't be told apart, since a false pick costs a twentieth of a missed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from detector.suppress import suppress
from refiner.labels import label_places

SEPARATION = 0.75
"""Radii; two picks of one class that are no further apart are one particle."""
_EDGE = 1e-4
_RIDGE = 1e-3


@dataclass(frozen=True)
class Blend:
    """How the stages' logits add up, per class.

    Attributes
    ----------
    stage1, stage2 : (k,) float64 arrays, 0 or more
        Weights a and b. With b = 0 the class keeps stage 1's positions too.
    bias : (k,) float64 array
    """

    stage1: NDArray[np.float64]
    stage2: NDArray[np.float64]
    bias: NDArray[np.float64]

    def taking_from(self, other: Blend, classes: Sequence[int]) -> Blend:
        """A blend with `other`'s weights for `classes` and with these for the others."""
        parts = []
        for mine, theirs in (
            (self.stage1, other.stage1),
            (self.stage2, other.stage2),
            (self.bias, other.bias),
        ):
            mixed = mine.copy()
            mixed[list(classes)] = theirs[list(classes)]
            parts.append(mixed)
        return Blend(*parts)


def logit(score: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log odds of scores in [0, 1], which are kept 0.0001 away from both ends."""
    p = np.clip(np.asarray(score, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def blended_scores(candidates: Candidates, blend: Blend) -> NDArray[np.float64]:
    """Scores (n, k) in [0, 1] of every candidate as every class.

    Raises
    ------
    ValueError
        If the blend wants stage 2 and the candidates have none.
    """
    total = logit(candidates.stage1) * blend.stage1 + blend.bias
    if (blend.stage2 > 0).any():
        if candidates.stage2 is None:
            raise ValueError(
                "Expected `candidates` with stage-2 scores, but got them before refinement."
            )
        total = total + logit(candidates.stage2[:, :-1]) * blend.stage2
    return np.asarray(expit(total))


def scored_picks(
    candidates: Candidates, blend: Blend, types: ParticleTypes, floor: float = 0.0
) -> Picks:
    """Every candidate as every class with a score of `floor` or more; duplicates suppressed.

    Two picks of one class within 0.75 radii, after refinement, are one particle: the better one
    stays (see :func:`detector.suppress.suppress`).
    """
    scores = blended_scores(candidates, blend)
    which, classes = np.nonzero(scores >= floor)
    positions = candidates.positions[which]
    if candidates.refined is not None:
        moved = blend.stage2[classes] > 0
        positions = np.where(moved[:, None], candidates.refined[which], positions)
    picks = Picks(positions, classes, scores[which, classes])
    return suppress(picks, SEPARATION * types.radii)


def fit_blend(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    *,
    two_stage: bool,
) -> Blend:
    """Maximum-likelihood weights on out-of-fold candidates, with a and b at least 0.

    A candidate counts as right for a class where it lies within half a radius of a particle of
    that class. A class with no right candidate, or only such, keeps stage 1 as it is (a = 1,
    b = c = 0). A class that stage 2 doesn't help gets the very weights of one stage.
    """
    k = len(types)
    blend = Blend(np.ones(k), np.zeros(k), np.zeros(k))
    for index in range(k):
        a, b, c = _class_weights(candidates, truth, types, index, two_stage)
        if two_stage and b == 0:  # then positions are not refined either
            a, b, c = _class_weights(candidates, truth, types, index, False)
        blend.stage1[index], blend.stage2[index], blend.bias[index] = a, b, c
    return blend


def _class_weights(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    index: int,
    two_stage: bool,
) -> tuple[float, float, float]:
    features, right = _pairs(candidates, truth, types, index, two_stage)
    if not right.any() or right.all():
        return 1.0, 0.0, 0.0
    return _logistic(features, right)


def _pairs(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    index: int,
    two_stage: bool,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Logits (n, 2) of both stages for one class, and whether each candidate is right."""
    rows, right = [np.empty((0, 2))], [np.empty(0, bool)]
    radius = types.radii[index : index + 1]
    for run, c in candidates.items():
        own = truth[run].of_class(index)
        own = Picks(own.positions, np.zeros(len(own), np.int64), own.scores)
        places = c.refined if two_stage and c.refined is not None else c.positions
        right.append(label_places(places, own, radius, reach=0.5).classes == 0)
        second = (
            logit(c.stage2[:, index]) if two_stage and c.stage2 is not None else np.zeros(len(c))
        )
        rows.append(np.stack([logit(c.stage1[:, index]), second], 1))
    return np.concatenate(rows), np.concatenate(right)


def _logistic(
    features: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Logistic regression with weights at least 0 and a light ridge."""
    from scipy.optimize import minimize  # takes a quarter of a second, and picking needs none

    sign = np.where(right, 1.0, -1.0)

    def cost(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (features @ w[:2] + w[2])
        value = np.logaddexp(0, -margin).mean() + 0.5 * _RIDGE * (w[:2] ** 2).sum()
        slope = -sign * expit(-margin) / len(sign)
        gradient = np.array([*(slope @ features), slope.sum()])
        gradient[:2] += _RIDGE * w[:2]
        return float(value), gradient

    bounds = [(0, None), (0, None), (None, None)]
    start = np.array([0.5, 0.5 if features[:, 1].any() else 0.0, 0.0])
    options = {"ftol": 1e-12, "gtol": 1e-8}  # a weight must not depend on where the search stopped
    result = minimize(cost, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    a, b, c = result.x.tolist()
    return a, b, c

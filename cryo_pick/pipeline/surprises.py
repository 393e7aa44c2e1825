"""What is odd about the picks of a tomogram, in the light of what the bundle was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import StageFit
from cryo_pick.tomogram import Tomogram
from refiner.blend import blended_scores

DENSITY = "picks_per_um3"
"""Key of `Bundle.evidence`: out-of-fold picks of a class per cubic micrometre."""
ENOUGH = 10.0
"""A class is missed where at least this many picks were expected."""
FACTOR = 10.0
"""More picks than this many times the expected number are odd."""
MOST_NAMED = 3


def cubic_micrometres(tomogram: Tomogram) -> float:
    """Volume of a tomogram."""
    edges = np.array(tomogram.shape) * np.array(tomogram.voxel_spacing) * 1e-4
    return float(edges.prod())


def densities(
    picks: Mapping[str, Picks], tomograms: Mapping[str, Tomogram], types: ParticleTypes
) -> dict[str, float]:
    """Picks of each class per cubic micrometre over all runs, by name."""
    volume = sum(cubic_micrometres(tomograms[run]) for run in picks)
    counts = sum((np.bincount(p.classes, minlength=len(types)) for p in picks.values()), 0)
    return {t.name: float(n / volume) for t, n in zip(types, np.atleast_1d(counts), strict=True)}


def surprises(
    candidates: Candidates,
    picks: Picks,
    tomogram: Tomogram,
    types: ParticleTypes,
    fit: StageFit,
    evidence: Mapping[str, Any],
) -> list[str]:
    """What a user should know about the number of picks; empty where it is as expected.

    Parameters
    ----------
    candidates, picks
        Of the tomogram, before and after the thresholds.
    tomogram
    types, fit, evidence
        Of the bundle.
    """
    if not len(picks):
        return [f"nothing was picked: {_why_nothing(candidates, types, fit)}"]
    volume = cubic_micrometres(tomogram)
    found = np.bincount(picks.classes, minlength=len(types))
    expected = [volume * evidence.get(t.name, {}).get(DENSITY, np.nan) for t in types]
    missing, many = [], []
    for kind, n, about in zip(types, found.tolist(), expected, strict=True):
        if n == 0 and about >= ENOUGH:
            missing.append(f"{kind.name} ({about:.0f} expected)")
        if n > FACTOR * max(about, 1.0):
            many.append(f"{kind.name} ({n}, {about:.0f} expected)")
    said = []
    if missing:
        said.append(f"no picks of {', '.join(missing)}, going by the training data's density")
    if many:
        said.append(
            f"many more picks than in the training data: {', '.join(many)}; thresholds may not hold"
        )
    return said


def _why_nothing(candidates: Candidates, types: ParticleTypes, fit: StageFit) -> str:
    """The likeliest reason, and what to do."""
    if not len(candidates):
        return (
            "the detector finds no candidate at all; look for inverted contrast or a wrong voxel "
            "spacing with cryo-pick inspect, or lower candidates.threshold"
        )
    best = blended_scores(candidates, fit.blend).max(axis=0)
    gap = fit.cut - best
    order: Sequence[int] = np.argsort(gap).tolist()
    named = [k for k in order if np.isfinite(gap[k])][:MOST_NAMED]
    if not named:
        return "the bundle's thresholds keep nothing of any class; train with more runs"
    close = ", ".join(f"{types[k].name} {best[k]:.3f} of {fit.cut[k]:.3f}" for k in named)
    advice = (
        "cut lower with cryo-pick threshold --set CLASS=SCORE"
        if _is_close(gap[named])
        else "look for inverted contrast or a wrong voxel spacing with cryo-pick inspect"
    )
    return f"the best scores are below their thresholds ({close}); {advice}"


def _is_close(gap: NDArray[np.float64]) -> bool:
    """Whether some score is within 0.1 of its threshold."""
    return bool((gap <= 0.1).any())

"""From out-of-fold candidates to a bundle's blend and thresholds. No file is touched here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import StageFit
from cryo_pick.pipeline.copies import is_copy
from cryo_pick.settings import FitSettings
from metrics.bootstrap import bootstrap_score, bootstrap_thresholds, paired_bootstrap
from metrics.curves import threshold_curve
from metrics.evaluate import evaluate
from metrics.matching import match_radii
from metrics.thresholds import cut, fit_thresholds
from refiner.blend import Blend, fit_blend, scored_picks

T = TypeVar("T")

FLOOR = 1e-3
"""Lowest blended score of a pick that is kept for later cutting."""
_CURVE_POINTS = 200
_SEED = 0


@dataclass(frozen=True)
class FitOutcome:
    """What the out-of-fold candidates say.

    Attributes
    ----------
    fits
        By stage.
    picks
        By stage and run: all scored picks, uncut.
    nested
        By stage and run: picks cut with thresholds that did not see their run's fold.
    evidence
        Per class: what stage 2 changes and whether it is used.
    """

    fits: dict[str, StageFit]
    picks: dict[str, dict[str, Picks]]
    nested: dict[str, dict[str, Picks]]
    evidence: dict[str, Any]


def fit_candidates(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    settings: FitSettings,
) -> FitOutcome:
    """Blend, thresholds, their uncertainty, and the evidence for stage 2.

    The nested picks of a run come from a blend and from thresholds fitted on the runs of the other
    folds, so their score can be believed; the optimistic score stands beside it.

    Parameters
    ----------
    candidates
        By run, scored by members that never saw the run. Turned copies of runs (see
        :mod:`cryo_pick.pipeline.copies`) take part in every fit; all that is reported is counted
        on the runs themselves.
    truth, types, folds
    settings
    """
    has_stage2 = all(c.stage2 is not None for c in candidates.values())
    fits: dict[str, StageFit] = {}
    picks: dict[str, dict[str, Picks]] = {}
    nested: dict[str, dict[str, Picks]] = {}
    one = fit_blend(candidates, truth, types, two_stage=False)
    picks["one_stage"] = _picks(_runs(candidates), one, types)
    nested["one_stage"] = _nested_picks(candidates, truth, types, folds, settings, (), False)
    fits["one_stage"] = _stage_fit(one, candidates, nested["one_stage"], truth, types, settings)
    evidence: dict[str, Any] = {}
    if has_stage2:
        evidence, off = _evidence(candidates, truth, types, folds, settings, nested["one_stage"])
        both = fit_blend(candidates, truth, types, two_stage=True).taking_from(one, off)
        picks["two_stage"] = _picks(_runs(candidates), both, types)
        nested["two_stage"] = _nested_picks(candidates, truth, types, folds, settings, off, True)
        fits["two_stage"] = _stage_fit(
            both, candidates, nested["two_stage"], truth, types, settings
        )
    return FitOutcome(fits, picks, nested, evidence)


def _runs(by_name: Mapping[str, T]) -> dict[str, T]:
    """Without turned copies."""
    return {name: value for name, value in by_name.items() if not is_copy(name)}


def _picks(
    candidates: Mapping[str, Candidates], blend: Blend, types: ParticleTypes
) -> dict[str, Picks]:
    return {run: scored_picks(c, blend, types, FLOOR) for run, c in candidates.items()}


def _nested_picks(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    settings: FitSettings,
    off: tuple[int, ...],
    two_stage: bool,
) -> dict[str, Picks]:
    """Each run's picks, with blend and thresholds from the other folds."""
    result: dict[str, Picks] = {}
    for fold in sorted(set(folds.values())):
        others = {r: c for r, c in candidates.items() if folds[r] != fold}
        others_truth = {r: truth[r] for r in others}
        blend = fit_blend(others, others_truth, types, two_stage=two_stage)
        if two_stage and off:
            one = fit_blend(others, others_truth, types, two_stage=False)
            blend = blend.taking_from(one, off)
        chosen = fit_thresholds(
            _picks(others, blend, types), others_truth, types, settings.beta, settings.smoothing
        )
        inside = {r: c for r, c in _runs(candidates).items() if folds[r] == fold}
        own = _picks(inside, blend, types)
        result |= {r: cut(p, [t.threshold for t in chosen]) for r, p in own.items()}
    return {r: result[r] for r in _runs(candidates)}


def _stage_fit(
    blend: Blend,
    candidates: Mapping[str, Candidates],
    nested: Mapping[str, Picks],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    settings: FitSettings,
) -> StageFit:
    rng = np.random.default_rng(_SEED)
    picks = _picks(candidates, blend, types)
    chosen = fit_thresholds(picks, truth, types, settings.beta, settings.smoothing)
    picks, truth = _runs(picks), _runs(truth)
    intervals = bootstrap_thresholds(
        picks, truth, types, rng, settings.beta, settings.smoothing,
        min(settings.bootstrap, 200), settings.confidence,
    )  # fmt: skip
    kept = {r: cut(p, [t.threshold for t in chosen]) for r, p in picks.items()}
    believed = bootstrap_score(
        nested, truth, types, rng, settings.beta, settings.bootstrap, settings.confidence
    )
    f4 = {
        "nested": believed.value,
        "nested_low": believed.low,
        "nested_high": believed.high,
        "optimistic": evaluate(kept, truth, types, settings.beta).score,
    }
    return StageFit(
        blend,
        tuple(chosen),
        tuple((i.low, i.high) for i in intervals),
        tuple(_thin_curve(picks, truth, types, c, settings.beta) for c in range(len(types))),
        f4,
    )


def _thin_curve(
    picks: Mapping[str, Picks],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    index: int,
    beta: float,
) -> dict[str, list[float]]:
    """F-beta against threshold of one class, at evenly spaced ranks."""
    curve = threshold_curve(
        {r: p.of_class(index) for r, p in picks.items()},
        {r: t.of_class(index) for r, t in truth.items()},
        float(match_radii(types)[index]),
    )
    if not len(curve.thresholds):
        return {"threshold": [], "f": []}
    f = curve.fbeta(beta)
    keep = np.unique(np.linspace(0, len(f) - 1, min(len(f), _CURVE_POINTS)).round().astype(int))
    return {
        "threshold": [round(float(t), 6) for t in curve.thresholds[keep]],
        "f": [round(float(v), 6) for v in f[keep]],
    }


def _evidence(
    candidates: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    settings: FitSettings,
    one_stage: Mapping[str, Picks],
) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Paired bootstrap over runs of two stages against one; classes where stage 2 is left out.

    Stage 2 is used for a class where the nested F-beta rises and most resamplings agree.
    """
    two_stage = _nested_picks(candidates, truth, types, folds, settings, (), True)
    paired = paired_bootstrap(
        two_stage, one_stage, _runs(truth), types, np.random.default_rng(_SEED),
        settings.beta, settings.bootstrap, settings.confidence,
    )  # fmt: skip
    evidence, off = {}, []
    for index, name in enumerate(types.names):
        d = paired.per_class[name]
        used = d.value > 0 and d.probability > 0.5
        evidence[name] = {
            "difference": d.value, "low": d.low, "high": d.high,
            "probability": d.probability, "stage2_used": bool(used),
        }  # fmt: skip
        if not used:
            off.append(index)
    return evidence, tuple(off)

"""The tables of a report, counted by the metrics package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.data import ReportData
from metrics import (
    Counts,
    ThresholdChoice,
    best_threshold,
    evaluate,
    localization_error,
    matched_distances,
    perfect_rescorer,
)
from metrics.bootstrap import ClassIntervals, bootstrap_classes
from metrics.ceiling import Ceiling
from metrics.curves import ClassHits
from metrics.doubt import RunIntervals, run_intervals
from metrics.evaluate import counts_by_run
from metrics.localization import LocalizationError
from metrics.matching import match_one_to_one, match_radii, pairs_within

SEED = 0
"""Of the bootstrap, so that the same data gives the same report."""
CEILING_LEVELS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Candidate thresholds at which the ceiling is shown."""


@dataclass(frozen=True)
class ClassRow:
    """One class at one stage: where it is cut and what that counts."""

    stage: str
    label: str
    threshold: float
    best: ThresholdChoice
    official: Counts
    one_to_one: Counts
    intervals: ClassIntervals


@dataclass(frozen=True)
class RunRow:
    """One run at the thresholds of the report.

    `intervals` holds a stage's each; it is empty for a run without any true particle. A class that
    the run lacks has no weight.
    """

    run: str
    fold: int | None
    n_truth: int
    n_kept: tuple[int, ...]
    counts: tuple[Counts, ...]
    intervals: tuple[RunIntervals, ...]


@dataclass(frozen=True, eq=False)
class Confusion:
    """What kept picks lie on, counted one-to-one.

    Attributes
    ----------
    names
        Classes.
    table : (k + 2, k) int64 array
        Entry (i, j): picks of class j on a particle of class i; row k: on a particle that has its
        pick already; row k + 1: on nothing known.
    missed : (k,) int64 array
        Particles that no pick of any class was left for.
    """

    names: tuple[str, ...]
    table: NDArray[np.int64]
    missed: NDArray[np.int64]

    @property
    def share(self) -> NDArray[np.float64]:
        """(k + 2, k) float64 array: each column over its sum; 0 in a column of a class unpicked."""
        return np.asarray(self.table / np.maximum(self.table.sum(axis=0), 1))


@dataclass(frozen=True)
class ReliabilityBin:
    """Picks of similar score: how many of them hit a particle of their class."""

    low: float
    high: float
    mean_score: float
    share_hit: float
    n: int


def class_rows(data: ReportData, hits: Mapping[str, list[ClassHits]]) -> list[list[ClassRow]]:
    """For each class its rows, one per stage, at the thresholds of the report.

    Parameters
    ----------
    data
    hits
        :func:`metrics.curves.hits_per_class` of each stage, by its key.
    """
    rows: list[list[ClassRow]] = [[] for _ in data.types]
    for stage in data.stages:
        scored = evaluate(stage.kept, data.truth, data.score_types, data.beta)
        rng = np.random.default_rng(SEED)
        intervals = bootstrap_classes(stage.kept, data.truth, data.score_types, rng, data.beta)
        for k, name in enumerate(data.types.names):
            best = best_threshold(hits[stage.key][k].curve(), data.beta, data.smoothing)
            rows[k].append(
                ClassRow(
                    stage.key,
                    stage.label,
                    float(stage.thresholds[k]),
                    best,
                    scored.official.per_class[name],
                    scored.one_to_one.per_class[name],
                    intervals[k],
                )
            )
    return rows


def run_rows(data: ReportData) -> list[RunRow]:
    """One row per run, in the order of the runs."""
    kept = [stage.kept for stage in data.stages]
    rows = []
    for result in data.runs:
        picks = [k[result.run] for k in kept]
        fold = data.folds[result.run] if data.folds is not None else None
        tables = []
        if len(result.truth):
            truth = {result.run: result.truth}
            tables = [counts_by_run({result.run: p}, truth, data.types)[0] for p in picks]
        weights = _weights_of(data.types, result.truth)
        rows.append(
            RunRow(
                result.run,
                fold,
                len(result.truth),
                tuple(len(p) for p in picks),
                tuple(Counts(*t.sum(axis=0).tolist()) for t in tables),
                tuple(
                    run_intervals(t, weights, np.random.default_rng(SEED), data.beta)
                    for t in tables
                ),
            )
        )
    return rows


def confusion(data: ReportData) -> Confusion:
    """What the kept picks of the last stage lie on.

    Picks and particles of one class are paired first, so the diagonal is the one-to-one count. What
    is left over is paired across classes, within reach of the particle's class.
    """
    k = len(data.types)
    table, missed = np.zeros((k + 2, k), np.int64), np.zeros(k, np.int64)
    radii = match_radii(data.types)
    kept = data.stages[-1].kept
    for run, truth in data.truth.items():
        picks = kept[run]
        pick_free, truth_free = np.ones(len(picks), bool), np.ones(len(truth), bool)
        near_any = np.zeros(len(picks), bool)
        for same_class in (True, False):
            for i, radius in enumerate(radii.tolist()):
                here = pick_free & (picks.classes == i) if same_class else pick_free
                left = np.flatnonzero(here)
                there = np.flatnonzero(truth_free & (truth.classes == i))
                pick, hit = match_one_to_one(picks.positions[left], truth.positions[there], radius)
                np.add.at(table[i], picks.classes[left[pick]], 1)
                pick_free[left[pick]] = False
                truth_free[there[hit]] = False
        for i, radius in enumerate(radii.tolist()):
            near = pairs_within(picks.positions, truth.positions[truth.classes == i], radius)[0]
            near_any[near] = True
        for row, of in ((k, pick_free & near_any), (k + 1, pick_free & ~near_any)):
            np.add.at(table[row], picks.classes[of], 1)
        np.add.at(missed, truth.classes[truth_free], 1)
    return Confusion(data.types.names, table, missed)


def localization(data: ReportData) -> dict[str, list[LocalizationError]]:
    """Distance of the kept picks from the centres they found, per class, one entry per stage."""
    per_stage = [matched_distances(s.kept, data.truth, data.types) for s in data.stages]
    return {name: [localization_error(d[name]) for d in per_stage] for name in data.types.names}


def ceiling(data: ReportData) -> Ceiling:
    """What a perfect re-scorer would make of the candidates of stage 1."""
    positions, scores = {}, {}
    for result in data.runs:
        places, place = np.unique(result.one_stage.positions, axis=0, return_inverse=True)
        per_class = np.zeros((len(places), len(data.types)))
        np.maximum.at(per_class, (place.ravel(), result.one_stage.classes), result.one_stage.scores)
        positions[result.run], scores[result.run] = places, per_class
    return perfect_rescorer(positions, scores, data.truth, data.score_types, CEILING_LEVELS)


def reliability(
    picks_by_run: Mapping[str, Picks],
    truth_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    n_bins: int = 10,
) -> list[ReliabilityBin]:
    """How often picks of similar score hit, over all classes; empty bins are left out.

    Parameters
    ----------
    picks_by_run
        Not cut.
    """
    scores, right = [], []
    for run, truth in truth_by_run.items():
        picks = picks_by_run.get(run, Picks.empty())
        scores.append(picks.scores)
        right.append(hit_mask(picks, truth, types))
    score, hit = np.concatenate([*scores, []]), np.concatenate([*right, []])
    place = np.clip((score * n_bins).astype(int), 0, n_bins - 1)
    return [
        ReliabilityBin(
            b / n_bins, (b + 1) / n_bins, float(score[in_bin].mean()), float(hit[in_bin].mean()), n
        )
        for b in range(n_bins)
        if (n := int(np.count_nonzero(in_bin := place == b)))
    ]


def hit_mask(picks: Picks, truth: Picks, types: ParticleTypes) -> NDArray[np.bool_]:
    """Which picks lie within reach of a true particle of their class: (n,) bool array."""
    right = np.zeros(len(picks), bool)
    for i, radius in enumerate(match_radii(types).tolist()):
        mine = np.flatnonzero(picks.classes == i)
        real = truth.positions[truth.classes == i]
        right[mine[pairs_within(picks.positions[mine], real, radius)[0]]] = True
    return right


def missed_mask(kept: Picks, truth: Picks, types: ParticleTypes) -> NDArray[np.bool_]:
    """Which true particles no kept pick of their class lies within reach of: (m,) bool array."""
    missed = np.ones(len(truth), bool)
    for i, radius in enumerate(match_radii(types).tolist()):
        real = np.flatnonzero(truth.classes == i)
        picks = kept.positions[kept.classes == i]
        missed[real[pairs_within(picks, truth.positions[real], radius)[1]]] = False
    return missed


def _weights_of(types: ParticleTypes, truth: Picks) -> NDArray[np.float64]:
    """Weights of the classes that `truth` has, each 1 where all of these weigh nothing."""
    there = np.isin(np.arange(len(types)), truth.classes)
    weights = np.where(there, types.weights, 0.0)
    return weights if weights.any() else there.astype(np.float64)

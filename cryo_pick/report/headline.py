"""The numbers at the top of a report: the weighted score of each stage, and their difference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo_pick.picks import Picks
from cryo_pick.report.data import ReportData, Stage
from metrics import bootstrap_score, cut, evaluate, paired_bootstrap
from metrics.bootstrap import Difference
from metrics.thresholds import nested_thresholds

SEED = 0
"""Of the bootstraps, so that the same data gives the same report."""


@dataclass(frozen=True)
class StageScore:
    """The weighted score of one stage.

    Attributes
    ----------
    key, label
        Of the stage.
    score
        Nested where there are folds, else at the thresholds of the report.
    low, high
        90 % bootstrap interval over runs.
    fitted
        At the thresholds of the report, on the very runs that they may have been fitted on.
    one_to_one
        As `score`, each pick and each particle counting at most once.
    """

    key: str
    label: str
    score: float
    low: float
    high: float
    fitted: float
    one_to_one: float


@dataclass(frozen=True)
class Headline:
    """The scores of all stages.

    Attributes
    ----------
    stages
        The first stage first.
    difference
        Two stages minus one, on the same resampled runs; None with one stage.
    nested
        Whether every run was cut with thresholds fitted on the runs of the other folds.
    beta
    n_runs
    """

    stages: tuple[StageScore, ...]
    difference: Difference | None
    nested: bool
    beta: float
    n_runs: int


def headline(data: ReportData) -> Headline | None:
    """Score every stage; None where no truth is known."""
    if not data.has_truth:
        return None
    types, nested = data.score_types, _is_nested(data)
    kept = [nested_cut(data, stage) if nested else stage.kept for stage in data.stages]
    scores = []
    for stage, picks in zip(data.stages, kept, strict=True):
        interval = bootstrap_score(picks, data.truth, types, np.random.default_rng(SEED), data.beta)
        found = evaluate(picks, data.truth, types, data.beta)
        fitted = evaluate(stage.kept, data.truth, types, data.beta).score
        scores.append(
            StageScore(
                stage.key,
                stage.label,
                found.score,
                interval.low,
                interval.high,
                fitted,
                found.one_to_one.score,
            )
        )
    difference = None
    if len(kept) == 2:
        rng = np.random.default_rng(SEED)
        difference = paired_bootstrap(kept[1], kept[0], data.truth, types, rng, data.beta).score
    return Headline(tuple(scores), difference, nested, data.beta, len(data.runs))


def nested_cut(data: ReportData, stage: Stage) -> dict[str, Picks]:
    """Picks of each run, cut with the thresholds fitted on the runs of the other folds.

    Raises
    ------
    ValueError
        If there are no folds, or one only.
    """
    folds = data.folds or {}
    choices = nested_thresholds(
        stage.picks, data.truth, data.types, folds, data.beta, data.smoothing
    )
    levels = {fold: [c.threshold for c in chosen] for fold, chosen in choices.items()}
    return {run: cut(picks, levels[folds[run]]) for run, picks in stage.picks.items()}


def _is_nested(data: ReportData) -> bool:
    return data.folds is not None and len({data.folds[r.run] for r in data.runs}) > 1

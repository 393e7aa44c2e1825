"""Counts, curves, thresholds and scores of picks. numpy and scipy only; knows Picks and types."""

from metrics.bootstrap import bootstrap_score, bootstrap_thresholds, paired_bootstrap
from metrics.ceiling import perfect_rescorer
from metrics.counts import Counts, fbeta
from metrics.curves import ThresholdCurve, threshold_curve
from metrics.evaluate import Evaluation, evaluate, nested_evaluation
from metrics.localization import localization_error, matched_distances
from metrics.thresholds import ThresholdChoice, best_threshold, cut, fit_thresholds

__all__ = [
    "Counts",
    "Evaluation",
    "ThresholdChoice",
    "ThresholdCurve",
    "best_threshold",
    "bootstrap_score",
    "bootstrap_thresholds",
    "cut",
    "evaluate",
    "fbeta",
    "fit_thresholds",
    "localization_error",
    "matched_distances",
    "nested_evaluation",
    "paired_bootstrap",
    "perfect_rescorer",
    "threshold_curve",
]

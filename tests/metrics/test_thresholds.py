import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from metrics.curves import ThresholdCurve, threshold_curve
from metrics.thresholds import (
    KEEP_NOTHING,
    ThresholdChoice,
    best_threshold,
    cut,
    fit_thresholds,
    nested_thresholds,
    running_mean,
)
from tests.reference.threshold_search import f_at, sampled_mean, search

TYPES = ParticleTypes((ParticleType("a", 1, 4.0), ParticleType("b", 2, 8.0, 2.0)))
SCORE = st.integers(0, 12).map(lambda i: i / 12)
RUN = st.tuples(
    st.lists(st.tuples(st.integers(0, 9), SCORE), min_size=1, max_size=10),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
)


def line(places, scores=None, index=0):
    """Picks on a line, 3 Å apart, so that neighbours don't hit within 2 Å but do within 4 Å."""
    positions = np.zeros((len(places), 3))
    positions[:, 2] = 3.0 * np.array(places, float)
    return Picks(positions, np.full(len(places), index), np.empty(0) if scores is None else scores)


def scene(runs):
    picks, truth, plain = {}, {}, []
    for i, (scored, real) in enumerate(runs):
        scores = np.array([s for _, s in scored])
        picks[f"r{i}"], truth[f"r{i}"] = line([p for p, _ in scored], scores), line(real)
        plain.append((picks[f"r{i}"].positions, scores, truth[f"r{i}"].positions))
    return picks, truth, plain


@given(st.lists(RUN, min_size=1, max_size=3), st.sampled_from([2.0, 4.0]))
def test_search_equals_trying_every_score(runs, radius):
    picks, truth, plain = scene(runs)
    choice = best_threshold(threshold_curve(picks, truth, radius))
    expected = search(plain, radius)
    if expected is None:
        assert choice == KEEP_NOTHING
    else:
        assert choice.f == pytest.approx(expected[1], abs=1e-12)
        assert choice.threshold == expected[0]
        assert choice.plateau_low <= choice.threshold <= choice.plateau_high


@settings(max_examples=25)
@given(st.lists(RUN, min_size=1, max_size=2), st.sampled_from([0.02, 0.1, 0.5]))
def test_running_mean_equals_sampling(runs, width):
    picks, truth, plain = scene(runs)
    curve = threshold_curve(picks, truth, 2.0)
    at, mean = running_mean(curve.thresholds[::-1], curve.fbeta()[::-1], width)
    n_samples = 100
    steps = len(curve.thresholds) + 1  # each step of the staircase may cost half a sample, times F
    for t, m in list(zip(at, mean, strict=True))[:4]:
        sampled = sampled_mean(t, width, plain, 2.0, n_samples)
        assert m == pytest.approx(sampled, abs=1.1 * steps / n_samples)


@given(st.lists(RUN, min_size=1, max_size=2), st.sampled_from([0.02, 0.3]))
def test_no_threshold_has_a_higher_running_mean(runs, width):
    picks, truth, _ = scene(runs)
    curve = threshold_curve(picks, truth, 2.0)
    choice = best_threshold(curve, smoothing=width)
    at, mean = running_mean(curve.thresholds[::-1], curve.fbeta()[::-1], width)
    if choice == KEEP_NOTHING:
        assert curve.tp.max() == 0
        return
    assert np.interp(choice.threshold, at, mean) == pytest.approx(mean.max(), abs=1e-9)
    assert choice.plateau_low <= choice.threshold <= choice.plateau_high
    for edge in (choice.plateau_low, choice.plateau_high):
        assert np.interp(edge, at, mean) >= mean.max() - 0.005 - 1e-9
    assert choice.f == pytest.approx(f_at(choice.threshold, scene(runs)[2], 2.0), abs=1e-12)


def test_a_single_spike_loses_against_a_broad_hill_when_smoothed():
    # F is 1 at 0.90 only by a hair's breadth, and 0.98 from 0.50 to 0.89.
    curve = ThresholdCurve(
        np.array([0.9, 0.899, 0.5]), np.array([50, 50, 50]), np.array([0, 60, 17]), np.zeros(3), 50
    )
    assert best_threshold(curve).threshold == 0.9
    assert 0.5 <= best_threshold(curve, smoothing=0.05).threshold < 0.88


def test_smoothed_threshold_lies_in_the_middle_of_the_gap():
    curve = threshold_curve(
        {"r": line([0, 5, 9], np.array([0.9, 0.8, 0.2]))}, {"r": line([0, 5])}, 2.0
    )
    plain, smooth = best_threshold(curve), best_threshold(curve, smoothing=0.1)
    assert plain == ThresholdChoice(0.8, 1.0, 0.8, 0.8)
    assert smooth.threshold == pytest.approx(0.5)  # the mean is 1 from 0.25 to 0.75
    assert smooth.f == 1.0
    assert 0.2 < smooth.plateau_low < 0.25
    assert 0.75 < smooth.plateau_high < 0.8


def test_plateau_is_the_unbroken_interval_around_the_maximum():
    fp = np.array([0, 3, 40, 3, 1, 4, 90])
    curve = ThresholdCurve(np.arange(0.9, 0.2, -0.1), np.full(7, 50), fp, np.zeros(7), 50)
    curve.fp[0] = 50  # the maximum is at index 4, its neighbours 3 and 5 are near, 1 is cut off
    choice = best_threshold(curve)
    np.testing.assert_allclose(
        [choice.threshold, choice.plateau_low, choice.plateau_high], [0.5, 0.4, 0.6]
    )


@pytest.mark.parametrize(
    ("picks", "truth"),
    [
        ({}, {"r": line([1])}),
        ({"r": line([1], np.array([0.5]))}, {"r": line([])}),
        ({"r": line([1], np.array([0.5]))}, {"r": line([9])}),
        ({}, {}),
    ],
    ids=["no picks", "no truth", "no hit", "no run"],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_where_nothing_can_be_hit_nothing_is_kept(picks, truth, smoothing):
    choice = best_threshold(threshold_curve(picks, truth, 2.0), smoothing=smoothing)
    assert choice == KEEP_NOTHING
    assert len(cut(line([1]), [choice.threshold])) == 0


def test_json_holds_no_infinity_and_reads_back():
    chosen = ThresholdChoice(0.5, 0.9, 0.4, 0.6)
    for choice in (chosen, KEEP_NOTHING):
        text = json.dumps(choice.to_json(), allow_nan=False)
        assert ThresholdChoice.from_json(json.loads(text)) == choice
    assert KEEP_NOTHING.to_json()["threshold"] is None


def test_fit_takes_each_class_by_itself():
    picks = Picks.concatenate(
        [line([0, 5], np.array([0.9, 0.3])), line([0, 5], np.array([0.3, 0.6]), index=1)]
    )
    truth = Picks.concatenate([line([0]), line([5], index=1)])
    chosen = fit_thresholds({"r": picks}, {"r": truth}, TYPES)
    assert [c.threshold for c in chosen] == [0.9, 0.6]
    assert [c.f for c in chosen] == [1.0, 1.0]
    assert cut(picks, [c.threshold for c in chosen]).scores.tolist() == [0.9, 0.6]


def test_a_pick_with_exactly_the_threshold_is_kept():
    assert cut(line([1, 2], np.array([0.5, 0.499])), [0.5]).scores.tolist() == [0.5]


def fold_scene():
    """Three runs whose perfect thresholds are 0.9, 0.6 and 0.3."""
    picks, truth = {}, {}
    for run, score in (("x", 0.9), ("y", 0.6), ("z", 0.3)):
        picks[run] = line([0, 5], np.array([score, score - 0.05]))
        truth[run] = line([0])
    return picks, truth


def test_nested_thresholds_equal_a_fit_on_the_other_runs():
    picks, truth = fold_scene()
    folds = {"x": 0, "y": 1, "z": 1}
    nested = nested_thresholds(picks, truth, TYPES, folds)
    for fold in (0, 1):
        others = [run for run in truth if folds[run] != fold]
        expected = fit_thresholds(
            {r: picks[r] for r in others}, {r: truth[r] for r in others}, TYPES
        )
        assert nested[fold] == expected
    assert nested[1][0].threshold == 0.9


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_the_scores_of_a_run_never_reach_its_own_threshold(smoothing):
    picks, truth = fold_scene()
    folds = {"x": 0, "y": 1, "z": 2}
    before = nested_thresholds(picks, truth, TYPES, folds, smoothing=smoothing)
    picks["x"] = line([0, 3, 7], np.array([0.2, 0.8, 0.01]))
    after = nested_thresholds(picks, truth, TYPES, folds, smoothing=smoothing)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_wrong_arguments_are_refused():
    picks, truth = fold_scene()
    with pytest.raises(ValueError, match="fold for every run, but got none for z"):
        nested_thresholds(picks, truth, TYPES, {"x": 0, "y": 1})
    with pytest.raises(ValueError, match="2 folds or more"):
        nested_thresholds(picks, truth, TYPES, dict.fromkeys(truth, 3))
    curve = threshold_curve(picks, truth, 2.0)
    with pytest.raises(ValueError, match="`smoothing` to be 0 or more"):
        best_threshold(curve, smoothing=-0.1)
    with pytest.raises(ValueError, match="`beta` to be above 0"):
        best_threshold(curve, beta=0)
    assert math.isinf(KEEP_NOTHING.threshold)

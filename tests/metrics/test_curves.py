import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from metrics.counts import Counts
from metrics.curves import hits_per_class, threshold_curve
from tests.reference.threshold_search import counts_at

POINT = st.tuples(st.integers(0, 6), st.integers(0, 6), st.just(0))
SCORED = st.lists(st.tuples(POINT, st.integers(0, 8)), max_size=8)
RUNS = st.lists(st.tuples(SCORED, st.lists(POINT, max_size=4)), min_size=1, max_size=3)


def one_class(points, scores=None):
    positions = np.array(points, float).reshape(-1, 3)
    return Picks(positions, np.zeros(len(positions)), np.empty(0) if scores is None else scores)


def scene(runs):
    """Mappings for the code and a list for the oracle; scores are eighths, so ties are many."""
    picks, truth, plain = {}, {}, []
    for i, (scored, real) in enumerate(runs):
        points, scores = [p for p, _ in scored], [s / 8 for _, s in scored]
        picks[f"r{i}"], truth[f"r{i}"] = one_class(points, np.array(scores)), one_class(real)
        plain.append((points, scores, real))
    return picks, truth, plain


@given(RUNS)
def test_every_distinct_score_is_counted_as_a_cut_there(runs):
    picks, truth, plain = scene(runs)
    curve = threshold_curve(picks, truth, 2.0)
    scores = {s for _, run_scores, _ in plain for s in run_scores}
    assert curve.thresholds.tolist() == sorted(scores, reverse=True)
    for i, threshold in enumerate(curve.thresholds):
        found = (curve.tp[i], curve.fp[i], curve.fn[i])
        assert found == counts_at(threshold, plain, 2.0)


@given(RUNS, st.floats(-0.5, 1.5))
def test_counts_between_the_scores(runs, threshold):
    picks, truth, plain = scene(runs)
    expected = Counts(*counts_at(threshold, plain, 2.0))
    assert threshold_curve(picks, truth, 2.0).at(threshold) == expected


@given(RUNS, st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_run_weights_repeat_runs(runs, weights):
    picks, truth, _ = scene(runs)
    types = ParticleTypes((ParticleType("a", 1, 4.0),))
    weights = np.array(weights[: len(runs)])
    weighted = hits_per_class(picks, truth, types)[0].curve(weights)
    again = [(f"{run}-{i}", run) for run, w in zip(truth, weights, strict=True) for i in range(w)]
    repeated = threshold_curve(
        {new: picks[run] for new, run in again}, {new: truth[run] for new, run in again}, 2.0
    )
    for name in ("thresholds", "tp", "fp", "fn", "n_truth"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(repeated, name))


def test_precision_recall_and_f():
    picks = one_class([[0, 0, 0], [0, 0, 50], [0, 0, 100]], np.array([0.9, 0.8, 0.7]))
    curve = threshold_curve({"a": picks}, {"a": one_class([[0, 0, 0], [0, 0, 100]])}, 5.0)
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 2 / 3])
    np.testing.assert_allclose(curve.recall, [0.5, 0.5, 1])
    np.testing.assert_allclose(curve.fbeta(), [17 / 33, 17 / 34, 34 / 35])


def test_runs_without_truth_are_ignored_and_runs_without_picks_are_missed():
    here = one_class([[0, 0, 0]])
    curve = threshold_curve({"a": here, "other": here}, {"a": here, "b": here}, 5.0)
    assert (curve.tp.tolist(), curve.fp.tolist(), curve.fn.tolist()) == ([1], [0], [1])


def test_a_curve_of_nothing_is_empty():
    curve = threshold_curve({}, {"a": one_class([[0, 0, 0]])}, 5.0)
    assert curve.thresholds.shape == curve.fbeta().shape == curve.precision.shape == (0,)
    assert curve.at(0.0) == Counts(0, 0, 1)
    assert threshold_curve({}, {}, 5.0).n_truth == 0

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from metrics.counts import fbeta
from metrics.doubt import run_intervals


def test_values_are_the_counts_as_they_are() -> None:
    table = np.array([[8, 2, 4], [0, 0, 3]])
    found = run_intervals(table, [1.0, 3.0], np.random.default_rng(0))
    assert [c.fbeta.value for c in found.per_class] == fbeta(*table.T).tolist()
    assert found.whole.fbeta.value == pytest.approx(fbeta(8, 2, 4) / 4)
    assert found.whole.precision.value == 0.8
    assert found.whole.recall.value == pytest.approx(8 / 15)


def test_a_share_has_jeffreys_interval() -> None:
    table = np.array([[30, 4, 10]])
    found = run_intervals(table, [1.0], np.random.default_rng(1), n_draws=100_000)
    for interval, other in ((found.whole.precision, 4), (found.whole.recall, 10)):
        low, high = beta.ppf([0.05, 0.95], 30.5, other + 0.5)
        # a quantile of 100,000 draws is off by sqrt(0.05 * 0.95 / 1e5) / density, under 0.002 here
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.003)


def test_five_of_five_are_not_certain() -> None:
    found = run_intervals(np.array([[5, 0, 0]]), [1.0], np.random.default_rng(1), n_draws=100_000)
    recall = found.per_class[0].recall
    assert (recall.value, recall.high) == (1.0, 1.0)
    assert recall.low == pytest.approx(beta.ppf(0.05, 5.5, 0.5), abs=0.003)


def test_nothing_counted_is_no_doubt_but_no_score() -> None:
    table = np.array([[8, 2, 4], [0, 0, 0]])
    found = run_intervals(table, [1.0, 0.0], np.random.default_rng(0))
    assert found.whole.fbeta == found.per_class[0].fbeta
    nothing = found.per_class[1]
    assert {(i.value, i.low, i.high) for i in (nothing.fbeta, nothing.precision)} == {(0, 0, 0)}


@pytest.mark.parametrize(("true_recall", "n"), [(0.9, 30), (0.7, 12)])
def test_nine_of_ten_intervals_hold_the_truth(true_recall: float, n: int) -> None:
    rng = np.random.default_rng(2)
    held = []
    for found_n in rng.binomial(n, true_recall, 400):
        table = np.array([[found_n, 0, n - found_n]])
        recall = run_intervals(table, [1.0], rng, n_draws=400).whole.recall
        held.append(recall.low <= true_recall <= recall.high)
    # 400 repeats give 0.9 +- 0.015; Jeffreys' interval wavers by some percent with n and p
    assert np.mean(held) == pytest.approx(0.9, abs=0.06)


@given(
    table=st.lists(st.tuples(*3 * [st.integers(0, 50)]), min_size=1, max_size=4).map(np.array),
    seed=st.integers(0, 5),
)
def test_intervals_are_ordered_ratios(table: np.ndarray, seed: int) -> None:
    weights = np.ones(len(table))
    found = run_intervals(table, weights, np.random.default_rng(seed), n_draws=50)
    for row in (found.whole, *found.per_class):
        for interval in (row.fbeta, row.precision, row.recall):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1
    again = run_intervals(table, weights, np.random.default_rng(seed), n_draws=50)
    assert again == found


def test_more_particles_are_surer() -> None:
    few, many = (
        run_intervals(n * np.array([[6, 2, 2]]), [1.0], np.random.default_rng(0)).whole.fbeta
        for n in (1, 100)
    )
    assert many.high - many.low < 0.2 * (few.high - few.low)


def test_a_pick_that_counts_twice_is_no_error() -> None:
    found = run_intervals(np.array([[3, -1, 0]]), [1.0], np.random.default_rng(0))
    assert found.whole.precision.value == 1.5  # as the official rule has it
    assert found.whole.precision.low < 1.0


def test_without_a_weight_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        run_intervals(np.array([[1, 1, 1]]), [0.0], np.random.default_rng(0))

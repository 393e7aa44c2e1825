import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from metrics.counts import fbeta
from metrics.doubt import run_intervals


def test_values_are_the_counts_as_they_are() -> None:
    table = np.array([[8, 2, 4], [0, 0, 3]])
    found = run_intervals(table, [1.0, 3.0], np.random.default_rng(0))
    assert [c.fbeta.value for c in found.per_class] == fbeta(*table.T).tolist()
    assert found.whole.fbeta.value == pytest.approx(fbeta(8, 2, 4) / 4)
    assert found.whole.precision.value == 0.8
    assert found.whole.recall.value == pytest.approx(8 / 15)
    nothing_found = found.per_class[1]
    assert (nothing_found.recall.low, nothing_found.recall.high) == (0.0, 0.0)


def test_recall_without_false_picks_is_a_binomial_draw() -> None:
    n, found_n = 40, 30
    table = np.array([[found_n, 0, n - found_n]])
    found = run_intervals(table, [1.0], np.random.default_rng(1), n_resamplings=20000)
    low, high = binom.ppf([0.05, 0.95], n, found_n / n) / n
    # 20000 draws put a quantile of a discrete law on its neighbour at most.
    assert found.whole.recall.low == pytest.approx(low, abs=1 / n + 1e-9)
    assert found.whole.recall.high == pytest.approx(high, abs=1 / n + 1e-9)
    assert found.whole == found.per_class[0]


@given(
    table=st.lists(st.tuples(*3 * [st.integers(0, 50)]), min_size=1, max_size=4).map(np.array),
    seed=st.integers(0, 5),
)
def test_intervals_are_ordered_ratios(table: np.ndarray, seed: int) -> None:
    weights = np.ones(len(table))
    found = run_intervals(table, weights, np.random.default_rng(seed), n_resamplings=50)
    for row in (found.whole, *found.per_class):
        for interval in (row.fbeta, row.precision, row.recall):
            assert 0 <= interval.low <= interval.high <= 1
            assert 0 <= interval.value <= 1
    again = run_intervals(table, weights, np.random.default_rng(seed), n_resamplings=50)
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
    assert found.whole.precision.high == 1.0


def test_without_a_weight_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        run_intervals(np.array([[1, 1, 1]]), [0.0], np.random.default_rng(0))

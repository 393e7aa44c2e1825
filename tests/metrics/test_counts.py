import numpy as np
import pytest

from metrics.counts import Counts, fbeta, weighted_mean
from tests.reference.czii_score import f_score


def test_counts_add():
    assert Counts(1, 2, 3) + Counts(10, -1, 4) == Counts(11, 1, 7)


@pytest.mark.parametrize("counts", [(3, 1, 2), (2, -1, 0), (0, 5, 0), (0, 0, 4), (7, 0, 0)])
@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_fbeta_equals_the_form_with_precision_and_recall(counts, beta):
    assert Counts(*counts).fbeta(beta) == pytest.approx(f_score(*counts, beta), abs=1e-12)


def test_nothing_at_all_is_zero_everywhere():
    nothing = Counts()
    assert (nothing.precision, nothing.recall, nothing.fbeta()) == (0.0, 0.0, 0.0)


def test_one_pick_that_hits_two_has_precision_two():
    assert Counts(2, -1, 0).precision == 2.0
    assert Counts(2, -1, 0).fbeta() == pytest.approx(34 / 33)


def test_a_miss_weighs_sixteen_false_picks():
    assert Counts(50, 16, 0).fbeta() == Counts(50, 0, 1).fbeta()


def test_fbeta_works_on_arrays():
    values = fbeta(np.array([[1, 0], [2, 3]]), 0, np.array([0, 4]))
    np.testing.assert_allclose(values, [[1, 0], [1, 51 / 115]])


@pytest.mark.parametrize("beta", [0, -1, float("nan")])
def test_beta_must_be_above_zero(beta):
    with pytest.raises(ValueError, match="`beta` to be above 0"):
        Counts(1, 0, 0).fbeta(beta)


def test_weighted_mean_divides_by_all_weights():
    np.testing.assert_allclose(weighted_mean([[1.0, 0.0], [0.5, 1.0]], [1, 3]), [0.25, 0.875])


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="weight above 0"):
        weighted_mean([1.0, 1.0], [0, 0])

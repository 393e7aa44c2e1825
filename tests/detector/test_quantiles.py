import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.quantiles import LEVELS, fit_table, match_scores


def heatmap(seed, power=1.0, shape=(2, 20, 20, 20)):
    return np.random.default_rng(seed).random(shape).astype(np.float32) ** power


def test_levels_rise_from_nothing_to_all():
    assert LEVELS[0] == 0
    assert LEVELS[-1] == 1
    assert (np.diff(LEVELS) > 0).all()
    assert (LEVELS > 0.99).sum() > 100


def test_a_table_is_numpys_quantiles():
    parts = [heatmap(0), heatmap(1, 2.0)]
    values = np.concatenate([p.reshape(2, -1) for p in parts], 1)
    np.testing.assert_allclose(fit_table(parts), np.quantile(values, LEVELS, axis=1).T)


def test_matching_gives_the_references_distribution():
    own, other = [heatmap(0, 5.0)], [heatmap(1, 0.5)]
    matched = match_scores(own[0], fit_table(own), fit_table(other))
    for c in range(2):
        found, wanted = np.sort(matched[c].ravel()), np.sort(other[0][c].ravel())
        # u**5 is flat and u**0.5 steep near 0, so the line between two levels is off there
        assert np.abs(found - wanted)[len(found) // 4 :].max() < 0.01
        assert np.abs(found - wanted).max() < 0.1


def test_scores_of_other_volumes_are_matched_by_the_same_rule():
    """u**5 has the ranks of u, so it becomes u**0.5, whatever a volume holds."""
    table, reference = fit_table([heatmap(0, 5.0)]), fit_table([heatmap(1, 0.5)])
    values = np.full((2, 1, 1, 3), 0.0)
    values[:] = np.array([0.2, 0.5, 0.9]) ** 5
    matched = match_scores(values, table, reference)
    np.testing.assert_allclose(matched[0].ravel(), np.sqrt([0.2, 0.5, 0.9]), atol=0.02)


@given(st.integers(0, 10**6), st.floats(0.2, 8))
def test_matching_keeps_the_order_and_its_own_scale(seed, power):
    values = heatmap(seed, power, (1, 6, 6, 6))
    values[values < 0.3] = 0  # many equal scores
    table, reference = fit_table([values]), fit_table([heatmap(seed + 1, 1.0, (1, 6, 6, 6))])
    matched = match_scores(values, table, reference)
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(matched.ravel()[order]) >= 0).all()
    np.testing.assert_allclose(match_scores(values, table, table), values, atol=2e-3)


def test_beyond_the_table_its_ends_count():
    table, reference = fit_table([0.5 * heatmap(0)]), fit_table([heatmap(1)])
    matched = match_scores(np.array([[-1.0, 2.0]] * 2), table, reference)
    np.testing.assert_allclose(matched, reference[:, [0, -1]].astype(np.float32))


def test_tables_that_do_not_fit_are_refused():
    table = fit_table([heatmap(0)])
    with pytest.raises(ValueError, match="one shape for 2 classes"):
        match_scores(heatmap(0), table, table[:1])
    with pytest.raises(ValueError, match="at least one heatmap"):
        fit_table([])

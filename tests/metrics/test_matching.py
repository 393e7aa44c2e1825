import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.objects import CZII_TYPES
from metrics.counts import Counts
from metrics.matching import (
    best_hits,
    count_official,
    count_one_to_one,
    match_one_to_one,
    match_radii,
    pairs_within,
)
from tests.reference.czii_score import hits
from tests.reference.matching import best_matching

# Small whole numbers: many ties, many pairs at exactly the radius, no rounding.
POINT = st.tuples(*[st.integers(0, 12)] * 3)
POINTS = st.lists(POINT, max_size=5)
NONE = np.empty((0, 3))


def array(points):
    return np.array(points, float).reshape(-1, 3)


def test_match_radius_is_half_the_radius():
    assert match_radii(CZII_TYPES).tolist() == [30, 32.5, 45, 75, 65, 67.5]


def test_a_pick_at_exactly_the_radius_hits_and_one_outside_does_not():
    truth = array([[0, 0, 0]])
    assert count_official(array([[0, 75.0, 0]]), truth, 75.0) == Counts(1, 0, 0)
    assert count_official(array([[0, 75.001, 0]]), truth, 75.0) == Counts(0, 1, 1)


def test_exactly_the_radius_hits_far_from_the_origin_and_among_many():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6000, (500, 3)).astype(float)
    away = rng.permuted(np.tile([0.0, 0.0, 32.5], (500, 1)), axis=1)
    pick, hit, _ = pairs_within(truth + away, truth, 32.5)
    assert set(zip(range(500), range(500), strict=True)) <= set(zip(pick, hit, strict=True))


def test_one_pick_within_reach_of_two_particles():
    truth = array([[0, 0, 0], [0, 0, 20]])
    pick = array([[0, 0, 10]])
    assert count_official(pick, truth, 30.0) == Counts(2, -1, 0)
    assert count_one_to_one(pick, truth, 30.0) == Counts(1, 0, 1)


def test_several_picks_on_one_of_two_particles():
    truth = array([[0, 0, 0], [0, 0, 500]])
    picks = array([[0, 0, 0], [0, 0, 5], [0, 5, 0]])
    assert count_official(picks, truth, 30.0) == Counts(1, 2, 1)


@given(POINTS, POINTS, st.integers(1, 9))
def test_official_counts_equal_the_loops(picks, truth, radius):
    tp = hits(picks, truth, radius)
    expected = Counts(tp, len(picks) - tp, len(truth) - tp)
    assert count_official(array(picks), array(truth), radius) == expected


@given(POINTS, POINTS, st.integers(1, 9))
def test_one_to_one_equals_brute_force(picks, truth, radius):
    i, j = match_one_to_one(array(picks), array(truth), radius)
    assert len(set(i.tolist())) == len(set(j.tolist())) == len(i)
    distances = np.linalg.norm(array(picks)[i] - array(truth)[j], axis=1)
    assert (distances <= radius).all()
    n_pairs, total = best_matching(picks, truth, radius)
    assert len(i) == n_pairs
    assert math.isclose(distances.sum(), total, abs_tol=1e-6)


@given(POINTS, POINTS, POINT, st.randoms(use_true_random=False))
def test_order_and_place_change_nothing(picks, truth, shift, random):
    shuffled = random.sample(picks, len(picks))
    moved = [array(p) + shift for p in (shuffled, truth)]
    for rule in (count_official, count_one_to_one):
        assert rule(*moved, 4.0) == rule(array(picks), array(truth), 4.0)


def test_most_pairs_go_before_short_distances():
    # The shortest pair (b, 2) would leave a without a particle.
    picks, truth = array([[0, 0, 0], [0, 0, 5]]), array([[0, 0, 4], [0, 0, 9]])
    i, j = match_one_to_one(picks, truth, 4.0)
    assert (i.tolist(), j.tolist()) == ([0, 1], [0, 1])


def test_a_thousand_particles_are_matched():
    rng = np.random.default_rng(1)
    truth = rng.permutation(np.argwhere(np.ones((10, 10, 10))) * 100.0)
    order = rng.permutation(1000)
    i, j = match_one_to_one(truth[order] + rng.normal(0, 5, (1000, 3)), truth, 65.0)
    np.testing.assert_array_equal(order[i], j)


def test_best_hits_takes_the_highest_score_within_reach():
    truth = array([[0, 0, 0], [0, 0, 100], [0, 0, 900]])
    picks = array([[0, 0, 1], [0, 0, 2], [0, 0, 99]])
    found = best_hits(picks, truth, 10.0, np.array([0.2, 0.7, 0.4]))
    assert found.tolist() == [0.7, 0.4, -np.inf]


def test_without_points_there_is_no_pair():
    some = array([[1, 2, 3]])
    assert count_official(NONE, some, 5.0) == Counts(0, 0, 1)
    assert count_one_to_one(some, NONE, 5.0) == Counts(0, 1, 0)
    assert best_hits(NONE, NONE, 5.0, np.empty(0)).shape == (0,)


def test_wrong_arguments_are_refused():
    some = array([[1, 2, 3]])
    with pytest.raises(ValueError, match=r"`picks` to be \(n, 3\)"):
        count_official(np.zeros((2, 2)), some, 5.0)
    with pytest.raises(ValueError, match="`match_radius` to be above 0"):
        count_official(some, some, 0.0)
    with pytest.raises(ValueError, match=r"`scores` to be \(1,\)"):
        best_hits(some, some, 5.0, np.ones(2))

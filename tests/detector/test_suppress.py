import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.picks import Picks
from detector.suppress import suppress

# Whole numbers: many ties and many pairs at exactly the distance, without rounding.
PICK = st.tuples(*[st.integers(0, 8)] * 3, st.integers(0, 2), st.integers(0, 4))
DISTANCES = np.array([0.0, 3.0, 5.0])


def picks_of(rows):
    table = np.array(rows, float).reshape(-1, 5)
    return Picks(table[:, :3], table[:, 3].astype(int), table[:, 4] / 4)


def greedy(picks, distances):
    """Indices kept, by looking at every pair."""
    kept = []
    for i in sorted(range(len(picks)), key=lambda i: (-picks.scores[i], i)):
        near = (
            picks.classes[j] == picks.classes[i]
            and np.linalg.norm(picks.positions[i] - picks.positions[j])
            <= distances[picks.classes[i]]
            for j in kept
        )
        if not any(near):
            kept.append(i)
    return kept


@given(st.lists(PICK, max_size=25))
def test_against_looking_at_every_pair(rows):
    picks = picks_of(rows)
    found, expected = suppress(picks, DISTANCES), picks[np.array(greedy(picks, DISTANCES), int)]
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_array_equal(found.scores, expected.scores)


@given(st.lists(PICK, max_size=25), st.integers(1, 7))
def test_the_size_of_a_block_changes_nothing(rows, block):
    picks = picks_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detector.suppress.BLOCK", block)
        found = suppress(picks, DISTANCES)
    np.testing.assert_array_equal(found.positions, suppress(picks, DISTANCES).positions)


def test_any_number_of_picks_in_one_place_is_one_particle():
    n = 30_000  # all their pairs would take 7 GB
    positions = np.random.default_rng(0).normal(100, 1, (n, 3))
    picks = Picks(positions, np.zeros(n, np.int64), np.random.default_rng(1).random(n))
    found = suppress(picks, np.array([50.0]))
    assert found.scores.tolist() == [picks.scores.max()]


@given(st.lists(PICK, max_size=25))
def test_doing_it_again_changes_nothing(rows):
    once = suppress(picks_of(rows), DISTANCES)
    twice = suppress(once, DISTANCES)
    np.testing.assert_array_equal(once.positions, twice.positions)
    assert (np.diff(once.scores) <= 0).all()


def test_a_chain_keeps_its_ends():
    chain = Picks([[0, 0, 0], [0, 0, 4], [0, 0, 8]], [1, 1, 1], [0.9, 0.5, 0.8])
    found = suppress(chain, np.array([0.0, 5.0]))
    assert found.positions[:, 2].tolist() == [0, 8]


def test_a_dropped_pick_drops_nothing():
    """The middle falls to the first, so the last, near the middle only, stays."""
    chain = Picks([[0, 0, 0], [0, 0, 4], [0, 0, 8]], [0, 0, 0], [0.9, 0.8, 0.7])
    assert suppress(chain, np.array([5.0])).positions[:, 2].tolist() == [0, 8]


def test_classes_do_not_see_each_other():
    picks = Picks([[0, 0, 0], [0, 0, 0]], [0, 1], [0.9, 0.8])
    assert len(suppress(picks, np.array([10.0, 10.0]))) == 2


def test_nothing_in_nothing_out():
    assert len(suppress(Picks.empty(), np.array([1.0]))) == 0

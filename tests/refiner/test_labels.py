import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.picks import Picks
from refiner.labels import label_places

RADII = np.array([4.0, 7.0])
POINT = st.tuples(*[st.integers(0, 15)] * 3)


def brute(places, truth, reach):
    """(class, distance in radii) of the best particle for each place."""
    result = []
    for place in places:
        best = (2, np.inf)
        for position, label in zip(truth.positions, truth.classes, strict=True):
            distance = np.linalg.norm(position - place)
            if distance <= reach * RADII[label]:
                best = min(best, (int(label), distance / RADII[label]), key=lambda b: b[1])
        result.append(best)
    return result


@given(
    st.lists(POINT, max_size=8),
    st.lists(st.tuples(POINT, st.integers(0, 1)), max_size=8),
    st.sampled_from([0.5, 0.6, 1.0]),
)
def test_against_every_pair(places, particles, reach):
    places = np.array(places, float).reshape(-1, 3)
    truth = Picks(np.array([p for p, _ in particles], float), [c for _, c in particles])
    labels = label_places(places, truth, RADII, reach)
    for i, (label, distance) in enumerate(brute(places, truth, reach)):
        away = np.linalg.norm(labels.targets[i] - places[i])
        if label == 2:
            assert labels.classes[i] == 2
            assert away == 0
            continue
        # Of two that are equally near either may be named.
        assert away / RADII[labels.classes[i]] == pytest.approx(distance)
        at = (truth.positions == labels.targets[i]).all(1) & (truth.classes == labels.classes[i])
        assert at.any()


def test_the_reach_is_inclusive_and_in_radii():
    truth = Picks([[0, 0, 0]], [1])
    places = np.array([[0, 0, 3.5], [0, 0, 3.5001]])
    assert label_places(places, truth, RADII, 0.5).classes.tolist() == [1, 2]


def test_the_nearer_in_radii_wins():
    truth = Picks([[0, 0, 0], [0, 0, 4]], [0, 1])
    # 1.8 of 4 and 2.2 of 7
    assert label_places(np.array([[0, 0, 1.8]]), truth, RADII, 1.0).classes.tolist() == [1]


def test_nothing_to_label():
    assert label_places(np.empty((0, 3)), Picks.empty(), RADII, 0.5).classes.shape == (0,)
    labels = label_places(np.ones((2, 3)), Picks.empty(), RADII, 0.5)
    assert labels.classes.tolist() == [2, 2]
    np.testing.assert_array_equal(labels.targets, np.ones((2, 3)))


def test_targets_are_a_copy():
    places = np.zeros((1, 3))
    label_places(places, Picks.empty(), RADII, 0.5).targets[0] = 9
    assert (places == 0).all()

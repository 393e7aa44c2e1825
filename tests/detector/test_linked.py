"""Groups of linked marks against connected components of the same graph."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from detector.linked import link_marks, linked_groups, slice_marks

CELL = np.array([10.0, 10.0, 20.0])


@given(st.integers(0, 10**6), st.integers(0, 60), st.floats(1, 60))
def test_groups_are_the_connected_components(seed, n, distance):
    rng = np.random.default_rng(seed)
    marks = np.unique(rng.integers(0, 8, (n, 3)), axis=0).reshape(-1, 3)
    groups = linked_groups(marks, CELL, distance)
    near = np.linalg.norm((marks[:, None] - marks)[..., 1:] * CELL[1:], axis=-1) <= distance
    linked = near & (np.abs(marks[:, None, 0] - marks[:, 0]) == 1)
    if not len(marks):
        assert groups == []
        return
    _, label = connected_components(coo_array(linked), directed=False)
    expected = [np.flatnonzero(label == k).tolist() for k in dict.fromkeys(label.tolist())]
    assert groups == expected


def test_nothing_marked():
    found = link_marks(slice_marks(np.zeros((2, 3, 4, 5)), 0.5, 3), CELL, 30.0, 1)
    assert len(found.classes) == len(found.places) == len(found.scores) == 0


def test_classes_and_weak_marks_are_kept_apart():
    values = np.zeros((2, 4, 9, 9), np.float32)
    values[0, :2, 4, 4] = 0.9
    values[1, 2:, 4, 4] = 0.7
    values[0, 2:, 4, 4] = 0.3
    found = link_marks(slice_marks(values, 0.5, 3), CELL, 30.0, 1)
    assert found.classes.tolist() == [0, 1]
    assert found.places.tolist() == [[0.5, 4, 4], [2.5, 4, 4]]
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_marks_are_maxima_of_their_slice_alone():
    rng = np.random.default_rng(0)
    values = rng.random((2, 3, 9, 10)).astype(np.float32)
    found = slice_marks(values, 0.3, 3)
    expected = []
    for c, z, y, x in np.ndindex(values.shape):
        near = values[c, z, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if values[c, z, y, x] == near.max() and values[c, z, y, x] >= 0.3:
            expected.append((c, z, y, x))
    assert [(c, *p) for c, p in zip(found.classes, found.places.tolist(), strict=True)] == expected

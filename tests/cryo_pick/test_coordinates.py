"""The one rule between voxels and Å, and the flip between z y x and x y z."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryo_pick.coordinates import angstrom_to_index, as_vector, flip_axes, index_to_angstrom

lengths = st.floats(0.5, 50)
places = st.floats(-1e4, 1e4)
vectors = st.tuples(places, places, places)


def test_an_integer_index_is_the_centre_of_a_voxel() -> None:
    assert index_to_angstrom([0, 0, 0], (10, 10, 10)).tolist() == [0, 0, 0]
    assert index_to_angstrom([1, 2, 3], (10, 20, 30), (1, 2, 3)).tolist() == [11, 42, 93]


def test_a_lone_bright_voxel_comes_back_as_the_same_index() -> None:
    volume = np.zeros((5, 7, 9))
    volume[1, 6, 2] = 1
    index = np.argwhere(volume)
    spacing, origin = (10.012, 10.012, 10.012), (-5.006, -5.006, -5.006)
    back = angstrom_to_index(index_to_angstrom(index, spacing, origin), spacing, origin)
    np.testing.assert_array_equal(np.rint(back), [[1, 6, 2]])


@given(arrays(float, (4, 3), elements=places), st.tuples(lengths, lengths, lengths), vectors)
def test_to_angstrom_and_back_changes_nothing(index, spacing, origin) -> None:
    back = angstrom_to_index(index_to_angstrom(index, spacing, origin), spacing, origin)
    np.testing.assert_allclose(back, index, atol=1e-6)


@given(arrays(float, (5, 3), elements=places))
def test_flipping_twice_changes_nothing(points) -> None:
    np.testing.assert_array_equal(flip_axes(flip_axes(points)), points)
    np.testing.assert_array_equal(flip_axes(points)[:, 0], points[:, 2])


def test_no_points_are_legal() -> None:
    none = np.empty((0, 3))
    assert index_to_angstrom(none, (1, 1, 1)).shape == (0, 3)
    assert angstrom_to_index(none, (1, 1, 1)).shape == (0, 3)
    assert flip_axes(none).shape == (0, 3)


def test_one_number_stands_for_three_axes() -> None:
    assert as_vector(7, "spacing") == (7.0, 7.0, 7.0)
    assert as_vector([1, 2, 3], "spacing") == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("value", [[1, 2], [], float("nan"), [1, 2, float("inf")]])
def test_other_lengths_are_refused_by_name(value) -> None:
    with pytest.raises(ValueError, match="argument `spacing` to be 1 or 3 finite numbers"):
        as_vector(value, "spacing")

"""Image and positions move together, whatever the symmetry."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.augment import GridSymmetry, vary_intensity
from cryo_pick.settings import AugmentSettings

MIRRORS = list(itertools.product((False, True), repeat=3))
ALL = [GridSymmetry(mirror, turns) for mirror in MIRRORS for turns in range(4)]
NONE = AugmentSettings(flip=False, rot90=False, scale=0, shift=0, noise=0)
EDGE = st.integers(1, 6)


@pytest.mark.parametrize("symmetry", ALL)
@settings(max_examples=20)
@given(data=st.data())
def test_a_lone_voxel_goes_where_points_says(symmetry, data):
    depth, side = data.draw(EDGE), data.draw(EDGE)
    width = side if symmetry.turns % 2 else data.draw(EDGE)
    shape = (depth, side, width)
    index = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    volume = np.zeros(shape, np.float32)
    volume[index] = 1
    moved = symmetry.volume(volume)
    assert moved.shape == shape
    expected = np.argwhere(moved).astype(float)
    np.testing.assert_array_equal(symmetry.points(np.array([index], float), shape), expected)


@pytest.mark.parametrize("symmetry", ALL)
def test_vectors_are_differences_of_points(symmetry):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 7, (2, 20, 3))
    shape = (5, 8, 8)
    difference = symmetry.points(b, shape) - symmetry.points(a, shape)
    np.testing.assert_allclose(symmetry.vectors(b - a), difference, atol=1e-12)
    np.testing.assert_allclose(symmetry.vectors((b - a)[0]), difference[0], atol=1e-12)


def test_all_sixteen_are_reached_and_z_is_never_turned_over_to_x_or_y():
    rng = np.random.default_rng(0)
    drawn = {GridSymmetry.draw(AugmentSettings(), rng) for _ in range(1000)}
    assert drawn == set(ALL)
    axes = np.abs([s.vectors(np.array([[1.0, 0, 0]]))[0] for s in drawn])
    assert (axes == [1, 0, 0]).all()


def test_channels_before_the_volume_move_alike():
    stack = np.random.default_rng(0).random((3, 2, 4, 4, 4), np.float32)
    symmetry = GridSymmetry((True, False, True), 3)
    moved = symmetry.volume(stack)
    assert all(
        np.array_equal(moved[i, j], symmetry.volume(stack[i, j]))
        for i in range(3)
        for j in range(2)
    )


@pytest.mark.parametrize("turns", [1, 3])
def test_a_quarter_turn_of_an_oblong_crop_is_refused(turns):
    symmetry = GridSymmetry(turns=turns)
    with pytest.raises(ValueError, match="h equal to w"):
        symmetry.points(np.zeros((1, 3)), (4, 5, 6))
    with pytest.raises(ValueError, match=r"\(4, 5, 6\)"):
        symmetry.volume(np.zeros((2, 4, 5, 6), np.float32))


def test_only_what_is_allowed_is_drawn():
    rng = np.random.default_rng(0)
    assert {GridSymmetry.draw(NONE, rng) for _ in range(50)} == {GridSymmetry()}
    half = {GridSymmetry.draw(AugmentSettings(), rng, square=False).turns for _ in range(100)}
    assert half == {0, 2}
    unmirrored = {GridSymmetry.draw(AugmentSettings(flip=False), rng).mirror for _ in range(100)}
    assert unmirrored == {(False, False, False)}


def test_intensities_stay_without_variation():
    volume = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(vary_intensity(volume, NONE, np.random.default_rng(1)), volume)


@given(st.integers(0, 100))
def test_intensities_vary_within_the_limits(seed):
    volume = np.random.default_rng(seed).standard_normal((8, 8, 8)).astype(np.float32)
    kept = volume.copy()
    varied = AugmentSettings(scale=0.2, shift=0.3, noise=0)
    out = vary_intensity(volume, varied, np.random.default_rng(seed))
    factor, offset = np.polyfit(volume.ravel(), out.ravel(), 1)
    assert 0.8 - 1e-3 <= factor <= 1.2 + 1e-3
    assert abs(offset) <= 0.3 + 1e-3
    np.testing.assert_array_equal(volume, kept)
    assert out.dtype == np.float32


def test_noise_is_as_strong_as_was_drawn():
    noisy = AugmentSettings(scale=0, shift=0, noise=0.5)
    zeros = np.zeros((16, 16, 16), np.float32)
    rng = np.random.default_rng(0)
    strengths = np.array([vary_intensity(zeros, noisy, rng).std() for _ in range(40)])
    assert strengths.max() < 0.53
    assert strengths.mean() == pytest.approx(0.25, abs=0.08)

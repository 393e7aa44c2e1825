"""Image and positions move together, whatever the symmetry."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.augment import (
    GridSymmetry,
    draw_affine,
    mix_batch,
    paste_ball,
    vary_intensity,
    widen_wedge,
)
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


def test_no_rotation_and_no_zoom_is_the_unit_matrix():
    assert np.array_equal(draw_affine(NONE, np.random.default_rng(0)), np.eye(3))


@given(st.integers(0, 1000))
def test_a_rotation_is_one_and_as_large_as_allowed(seed):
    turned = draw_affine(AugmentSettings(rotate_z=30.0), np.random.default_rng(seed))
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(turned[0], [1, 0, 0])  # about z, which stays
    assert np.degrees(abs(np.arctan2(turned[2, 1], turned[1, 1]))) <= 30
    tilted = draw_affine(AugmentSettings(rotate_xy=10.0), np.random.default_rng(seed))
    assert np.linalg.det(tilted) == pytest.approx(1)
    assert np.degrees(np.arccos(np.clip(tilted[0, 0], -1, 1))) <= 10 * np.sqrt(2) + 0.1
    zoomed = draw_affine(AugmentSettings(zoom=0.1), np.random.default_rng(seed))
    assert 1 / 1.1**3 - 1e-9 <= np.linalg.det(zoomed) <= 1 / 0.9**3 + 1e-9


def test_a_wider_wedge_removes_what_lies_in_it_and_nothing_else():
    z, x = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    along_z, along_x = (np.cos(2 * np.pi * 3 * a / 16) for a in (z, x))
    for wave, stays in ((along_z, False), (along_x, True)):
        volume = np.repeat(wave[:, None, :], 4, 1).astype(np.float32)
        out = widen_wedge(volume, 45.0)
        np.testing.assert_allclose(out, volume if stays else 0 * volume, atol=1e-5)
    flat = np.full((4, 6, 8), 2.5, np.float32)
    np.testing.assert_allclose(widen_wedge(flat, 30.0), flat, atol=1e-5)


def test_a_wedge_is_wider_the_less_is_tilted():
    volume = np.random.default_rng(0).standard_normal((12, 10, 14)).astype(np.float32)
    energy = [np.square(widen_wedge(volume, tilt)).sum() for tilt in (10, 30, 60, 80)]
    assert sorted(energy) == energy
    once = widen_wedge(volume, 40.0)
    np.testing.assert_allclose(widen_wedge(once, 40.0), once, atol=1e-5)


def test_a_pasted_ball_is_the_patch_inside_and_the_image_outside():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((20, 20, 20)).astype(np.float32)
    patch = np.full((9, 9, 9), 7, np.float32)
    out = paste_ball(image, patch, (2, 10, 12))  # over the first face
    away = np.linalg.norm(np.argwhere(np.ones_like(image)) - (2, 10, 12), axis=1).reshape(
        20, 20, 20
    )
    np.testing.assert_allclose(out[away <= 3], 7, rtol=1e-6)
    assert np.array_equal(out[away > 4.5], image[away > 4.5])
    assert not np.array_equal(out, image)


def batch_of(size=4):
    rng = np.random.default_rng(1)
    return {
        "image": rng.random((size, 1, 2, 2, 2)).astype(np.float32),
        "target": rng.random((size, 3, 2, 2, 2)).astype(np.float32),
    }


def test_mixed_targets_are_mixed_as_their_images():
    batch = batch_of()
    settings = AugmentSettings(mixup="targets", mixup_probability=1.0)
    mixed = mix_batch(batch, settings, np.random.default_rng(0))
    shares = []
    for i in range(4):
        a, b = batch["image"][i].ravel(), batch["image"][i - 1].ravel()
        share = np.dot(mixed["image"][i].ravel() - b, a - b) / np.dot(a - b, a - b)
        expected = share * batch["target"][i] + (1 - share) * batch["target"][i - 1]
        np.testing.assert_allclose(mixed["target"][i], expected, atol=1e-5)
        shares.append(share)
    assert np.ptp(shares) > 0.05
    assert "mix" not in mixed


def test_mixed_losses_share_one_coefficient_and_keep_both_targets():
    batch = batch_of()
    settings = AugmentSettings(mixup="losses", mixup_probability=1.0)
    mixed = mix_batch(batch, settings, np.random.default_rng(0))
    (share,) = mixed["mix"]
    other = np.roll(batch["image"], 1, 0)
    np.testing.assert_allclose(
        mixed["image"], share * batch["image"] + (1 - share) * other, rtol=1e-5
    )
    assert mixed["target"] is batch["target"]
    np.testing.assert_array_equal(mixed["other_target"], np.roll(batch["target"], 1, 0))


def test_only_what_both_samples_know_is_known_of_a_mixture():
    batch = batch_of(2) | {"annotated": np.array([[1, 0, 1], [1, 1, 0]], np.float32)}
    mixed = mix_batch(
        batch, AugmentSettings(mixup="targets", mixup_probability=1.0), np.random.default_rng(0)
    )
    assert mixed["annotated"].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_as_many_batches_are_mixed_as_wanted():
    rng, settings = np.random.default_rng(0), AugmentSettings(mixup="losses", mixup_probability=0.3)
    batch = batch_of()
    share = np.mean(["mix" in mix_batch(batch, settings, rng) for _ in range(400)])
    assert share == pytest.approx(0.3, abs=0.08)
    assert mix_batch(batch, AugmentSettings(), rng) is batch

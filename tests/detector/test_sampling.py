"""Crops hold what they say, and depend on seed and step alone.

The volume holds each voxel's own flat index, so a crop tells where it was cut.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.augment import GridSymmetry, draw_affine
from cryo_pick.settings import AugmentSettings
from detector.heatmap import heatmap_to_voxel_index
from detector.sampling import CropSampler, TrainingRun, moved_crop, moved_points, padded_crop
from detector.targets import gaussian_target

NONE = AugmentSettings(flip=False, rot90=False, scale=0, shift=0, noise=0)
MOVES = AugmentSettings(scale=0, shift=0, noise=0)
SHAPE = (20, 30, 40)
SIGMAS = np.array([[1.5, 2.0, 2.5], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])


def indexed(shape=SHAPE):
    """A volume of its own flat indices, from 1 on: 0 is padding."""
    return (np.arange(np.prod(shape)) + 1).reshape(shape).astype(np.float32)


def scene(n=30, shape=SHAPE, seed=0, classes=(0, 1, 1, 1, 1)):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, np.array(shape) - 1, (n, 3))
    return TrainingRun(indexed(shape), centres, rng.choice(classes, n), SIGMAS)


def sampler(runs, crop=(8, 16, 16), stride=1, centred=0.75, augment=NONE, seed=0):
    return CropSampler(runs, 3, crop, stride, centred, augment, seed)


def start_of(image, shape=SHAPE):
    """Where an unvaried crop was cut, from any voxel of it that is no padding."""
    inside = np.argwhere(image > 0)[0]
    return np.array(np.unravel_index(int(image[tuple(inside)]) - 1, shape)) - inside


def whole_target(run, stride):
    cells = tuple(n // stride for n in run.volume.shape)
    centres = (run.centres - (stride - 1) / 2) / stride
    return gaussian_target(cells, centres, run.classes, run.sigmas / stride, 3)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_target_of_a_crop_is_the_crop_of_the_whole_target(stride):
    run = scene()
    whole, compared = whole_target(run, stride), 0
    draws = sampler([run], stride=stride)
    for step in range(40):
        batch = draws.batch(step, 2)
        for image, target in zip(batch["image"][:, 0], batch["target"], strict=True):
            start = start_of(image)
            if (start % stride).any():
                continue  # cells of the crop are not those of the whole
            expected = [padded_crop(c, start // stride, target.shape[1:]) for c in whole]
            inside = [
                padded_crop(np.ones_like(c), start // stride, target.shape[1:]) for c in whole
            ]
            # Gaussians are cut off at 4 sigma; beyond the border they go on in the crop only.
            np.testing.assert_allclose(target * inside, expected, atol=1e-6)
            compared += 1
    assert compared >= 8


def test_an_image_is_a_crop_of_its_volume_with_zeros_beyond():
    run = scene()
    for image in sampler([run]).batch(0, 60)["image"][:, 0]:
        start = start_of(image)
        index = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), -1) + start
        inside = ((index >= 0) & (index < SHAPE)).all(-1)
        assert (image[~inside] == 0).all()
        np.testing.assert_array_equal(image[inside], run.volume[tuple(index[inside].T)])
        over = np.maximum(-start, start + image.shape - np.array(SHAPE))
        assert (over <= np.array(image.shape) // 8).all()


def test_crops_reach_every_corner_and_over_the_border():
    run = scene()
    starts = np.array(
        [start_of(i) for i in sampler([run], centred=0.0).batch(0, 300)["image"][:, 0]]
    )
    limit = np.array(SHAPE) - (8, 16, 16)
    assert (starts.min(0) == 0).all()
    assert (starts.max(0) == limit).all()
    around = np.array(
        [start_of(i) for i in sampler([run], centred=1.0).batch(0, 300)["image"][:, 0]]
    )
    assert (around.min(0) < 0).any()
    assert (around.max(0) > limit).any()


def test_a_centred_crop_holds_its_particle_away_from_the_faces():
    inner = np.random.default_rng(0).uniform([8, 12, 12], [12, 18, 28], (10, 3))
    run = TrainingRun(indexed(), inner, np.zeros(10, np.int64), SIGMAS)
    crop = np.array((8, 16, 16))
    for image in sampler([run], centred=1.0).batch(0, 100)["image"][:, 0]:
        place = (inner - start_of(image)) / crop
        assert ((place > 0.05) & (place < 0.95)).all(1).any()


def test_classes_are_drawn_evenly_however_rare():
    """One particle of class 0 among forty of class 1, far apart; class 2 has none."""
    shape = (8, 16, 2000)
    centres = np.array([[4, 8, 20 + 45 * i] for i in range(41)], float)
    run = TrainingRun(indexed(shape), centres, np.array([0] + [1] * 40), SIGMAS)
    target = sampler([run], centred=1.0).batch(0, 400)["target"]
    share = [(target[:, c].max((1, 2, 3)) > 0.3).mean() for c in range(3)]
    assert share[0] == pytest.approx(0.5, abs=0.1)
    assert share[1] == pytest.approx(0.5, abs=0.1)
    assert share[2] == 0


def test_runs_are_drawn_by_their_size_where_no_particle_is_wanted():
    small, large = scene(0, (8, 16, 16)), scene(0, (24, 16, 16))
    small = replace(small, volume=np.full((8, 16, 16), -1, np.float32))
    images = sampler([small, large]).batch(0, 400)["image"]
    assert (images.min((1, 2, 3, 4)) < 0).mean() == pytest.approx(0.25, abs=0.08)


def test_a_batch_is_a_function_of_seed_step_and_rank():
    run = scene()
    first, again = (
        sampler([run], augment=AugmentSettings()),
        sampler([run], augment=AugmentSettings()),
    )
    first.batch(0, 2)
    a, b = first.batch(7, 2), again.batch(7, 2)
    assert all(np.array_equal(a[name], b[name]) for name in ("image", "target"))
    others = [
        again.batch(8, 2),
        again.batch(7, 2, rank=1),
        sampler([run], augment=AugmentSettings(), seed=1).batch(7, 2),
    ]
    assert not any(np.array_equal(a["image"], o["image"]) for o in others)
    assert not np.array_equal(a["image"][0], a["image"][1])


@pytest.mark.parametrize("stride", [1, 2])
def test_target_and_image_move_together(stride):
    """One bright voxel; the target's peak is at its cell, whatever the symmetry."""
    rng = np.random.default_rng(1)
    peaks = set()
    for _ in range(10):
        cell = rng.integers(2, 6, 3)
        centre = heatmap_to_voxel_index(cell, stride)
        volume = np.zeros((8 * stride,) * 3, np.float32)
        block = tuple(slice(c * stride, (c + 1) * stride) for c in cell)
        volume[block] = 1
        run = TrainingRun(volume, centre[None], np.array([0]), SIGMAS)
        batch = sampler([run], (8 * stride,) * 3, stride, 0.0, MOVES).batch(0, 16)
        for image, target in zip(batch["image"][:, 0], batch["target"], strict=True):
            assert target[0].max() == 1
            peak = np.unravel_index(target[0].argmax(), target[0].shape)
            bright = np.argwhere(image == 1).mean(0)
            np.testing.assert_allclose(heatmap_to_voxel_index(peak, stride), bright)
            peaks.add(tuple(int(p) for p in peak))
    assert len(peaks) > 40


def test_an_anisotropic_gaussian_turns_with_its_crop():
    """Particle in the middle: the target is the turned and mirrored target."""
    volume = indexed((16, 16, 16))
    run = TrainingRun(volume, np.array([[6.0, 7.0, 9.0]]), np.array([0]), SIGMAS)
    batch = sampler([run], (16, 16, 16), 1, 0.0, MOVES).batch(0, 30)
    plain = gaussian_target((16, 16, 16), run.centres, run.classes, SIGMAS, 3)
    seen = set()
    for image, target in zip(batch["image"][:, 0], batch["target"], strict=True):
        fits = [s for s in ALL if np.array_equal(s.volume(volume), image)]
        assert len(fits) >= 1
        np.testing.assert_allclose(target, fits[0].volume(plain), atol=1e-6)
        seen.add(fits[0])
    assert any(s.turns % 2 for s in seen)


ALL = [
    GridSymmetry((bool(m & 4), bool(m & 2), bool(m & 1)), turns)
    for m in range(8)
    for turns in range(4)
]


@pytest.mark.parametrize("shape", [(4, 40, 40), (30, 10, 12), (3, 3, 3)])
def test_a_volume_smaller_than_a_crop_lies_inside_it(shape):
    run = scene(5, shape)
    for centred in (0.0, 1.0):
        images = sampler([run], (16, 16, 16), centred=centred).batch(0, 30)["image"][:, 0]
        for image in images:
            start = start_of(image, shape)
            stop = np.minimum(start + 16, shape)
            np.testing.assert_array_equal(
                image[image > 0], run.volume[tuple(map(slice, np.maximum(start, 0), stop))].ravel()
            )
            # All of it, but for the eighth of a crop by which a particle may lead over the border.
            assert (stop - np.maximum(start, 0) >= np.minimum(shape, 16) - 2).all()


def test_an_oblong_crop_is_turned_by_halves():
    batch = sampler([scene()], (8, 16, 24), 2, augment=AugmentSettings()).batch(0, 20)
    assert batch["image"].shape == (20, 1, 8, 16, 24)
    assert batch["target"].shape == (20, 3, 4, 8, 12)


def test_runs_without_particles_are_background():
    run = scene(0)
    batch = sampler([run], centred=1.0).batch(0, 3)
    assert not batch["target"].any()


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ValueError, match="at least one run"):
        sampler([])
    with pytest.raises(ValueError, match="multiples of 2 voxels"):
        sampler([scene()], (8, 15, 16), 2)


@settings(max_examples=60)
@given(st.tuples(*[st.integers(-12, 12)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_padded_crop_against_padding_the_whole(start, size):
    volume = indexed((5, 6, 7))
    padded = np.pad(volume, 12)
    box = tuple(slice(s + 12, s + 12 + n) for s, n in zip(start, size, strict=True))
    expected = np.zeros(size, np.float32)
    part = padded[box]
    expected[tuple(map(slice, part.shape))] = part
    np.testing.assert_array_equal(padded_crop(volume, start, size), expected)


def test_places_that_a_person_judged_count_as_one_more_class():
    """With one class present, half of the crops around something are around the judged place."""
    place = np.array([15.0, 25.0, 35.0])
    run = replace(scene(classes=(1,)), reviewed=place[None])
    batch = sampler([run], centred=1.0).batch(0, 400)
    starts = np.array([start_of(image[0]) for image in batch["image"]])
    inside = ((place >= starts) & (place < starts + np.array([8, 16, 16]))).all(1)
    without = sampler([replace(run, reviewed=np.empty((0, 3)))], centred=1.0).batch(0, 400)
    others = np.array([start_of(image[0]) for image in without["image"]])
    by_chance = ((place >= others) & (place < others + np.array([8, 16, 16]))).all(1)
    expected = 0.5 + 0.5 * by_chance.mean()
    assert abs(inside.mean() - expected) < 0.1


def test_an_unmoved_crop_is_a_plain_one():
    volume = indexed()
    plain = padded_crop(volume, (2, -3, 5), (8, 8, 8))
    np.testing.assert_array_equal(moved_crop(volume, (2, -3, 5), (8, 8, 8), None), plain)
    np.testing.assert_allclose(moved_crop(volume, (2, -3, 5), (8, 8, 8), np.eye(3)), plain)


@given(st.integers(0, 10**6))
def test_a_point_goes_with_the_crop_that_is_turned_and_zoomed(seed):
    """A soft blob: its centre of mass in the moved crop is where its point is."""
    rng = np.random.default_rng(seed)
    varied = AugmentSettings(rotate_z=180.0, rotate_xy=20.0, zoom=0.1)
    matrix = draw_affine(varied, rng)
    centre = rng.uniform(24, 26, 3)
    grid = np.stack(np.meshgrid(*[np.arange(50)] * 3, indexing="ij"), -1)
    volume = np.exp(-((grid - centre) ** 2).sum(-1) / (2 * 2.0**2)).astype(np.float32)
    start, size = (11, 9, 13), (28, 30, 26)
    crop = moved_crop(volume, start, size, matrix)
    (point,) = moved_points(centre[None], start, size, matrix)
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    mass = (index * crop[..., None]).sum((0, 1, 2)) / crop.sum()
    np.testing.assert_allclose(mass, point, atol=0.1)


def test_targets_of_every_kind_are_drawn():
    run = scene()
    for kind, per_sample in (("sphere", (3, 4, 8, 8)), ("voxel", (3, 4, 8, 8))):
        draws = CropSampler([run], 3, (8, 16, 16), 2, 0.75, AugmentSettings(), 0, kind)
        target = draws.batch(0, 5)["target"]
        assert target.shape == (5, *per_sample)
        assert set(np.unique(target)) == {0, 1}
    points = CropSampler([run], 3, (8, 16, 16), 2, 1.0, AugmentSettings(), 0, "points").batch(0, 9)
    rows = points["target"]
    assert rows.shape[0] == 9
    assert rows.shape[2] == 7
    real = rows[rows[..., 3] >= 0]
    assert len(real) >= 5
    assert ((real[:, :3] >= -0.5) & (real[:, :3] < np.array((4, 8, 8)) - 0.5)).all()
    assert (rows[rows[..., 3] < 0] == -1).all()


def test_points_of_empty_crops_are_one_empty_row():
    draws = CropSampler([scene(0)], 3, (8, 16, 16), 2, 1.0, NONE, 0, "points")
    assert (draws.batch(0, 2)["target"] == -np.ones((2, 1, 7))).all()


def test_classes_that_a_run_lacks_are_told():
    known = replace(scene(), annotated=np.array([True, True, False]))
    batch = sampler([known, scene()]).batch(0, 30)
    seen = {tuple(row) for row in batch["annotated"]}
    assert seen == {(1, 1, 0), (1, 1, 1)}
    assert "annotated" not in sampler([scene()]).batch(0, 2)
    assert "annotated" not in sampler([replace(scene(), annotated=np.ones(3, bool))]).batch(0, 2)


def test_a_particle_is_pasted_with_its_target_into_free_space():
    """Two runs: one holds a bright ball, the other nothing; pasted balls have their point."""
    grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
    centre = np.array([11.7, 12.2, 12.4])
    ball = (np.linalg.norm(grid - centre, axis=-1) < 3).astype(np.float32)
    one = TrainingRun(ball, centre[None], np.array([0]), SIGMAS, radii=np.array([5.0, 5, 5]))
    none = TrainingRun(
        np.zeros((64, 64, 64), np.float32), np.empty((0, 3)), np.empty(0, np.int64), SIGMAS,
        radii=np.array([5.0, 5, 5]),
    )  # fmt: skip
    augment = replace(NONE, paste=1.0)
    batch = CropSampler([none, one], 3, (24, 24, 24), 1, 0.0, augment, 0).batch(0, 40)
    pasted = 0
    for image, target in zip(batch["image"][:, 0], batch["target"], strict=True):
        if not image.any():
            continue
        peak = np.argwhere(target[0] == target[0].max())[0]
        if (peak < 6).any() or (peak > 17).any():
            continue
        found = np.argwhere(image > 0.9)
        if len(found) and np.ptp(found, axis=0).max() < 8:
            np.testing.assert_allclose(found.mean(0), peak, atol=1.0)
            pasted += 1
    assert pasted >= 2


def test_a_paste_without_radii_is_refused():
    with pytest.raises(ValueError, match="radii"):
        sampler([scene()], augment=replace(NONE, paste=1.0)).batch(0, 1)


def test_a_wider_wedge_changes_the_image_alone():
    plain = sampler([scene()], augment=replace(NONE, wedge=0.0)).batch(3, 1)
    wide = sampler([scene()], augment=replace(NONE, wedge=30.0)).batch(3, 1)
    assert np.array_equal(plain["target"], wide["target"])
    assert not np.allclose(plain["image"], wide["image"])

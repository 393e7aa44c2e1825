import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.objects import ParticleType, ParticleTypes
from detector.settings import TargetSettings
from detector.targets import (
    gaussian_target,
    points_target,
    slices_target,
    sphere_target,
    target_sigmas,
    target_widths,
    voxel_target,
)

SIGMAS = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.5]])
CUT_OFF = np.exp(-8)  # the value at 4 sigma, where a Gaussian ends


def draw(centres, classes, shape=(12, 14, 16), sigmas=SIGMAS):
    centres = np.array(centres, float).reshape(-1, 3)
    return gaussian_target(shape, centres, np.array(classes, np.int64), sigmas, len(sigmas))


def naive(centres, classes, shape, sigmas):
    """Every Gaussian over the whole grid, the largest value per voxel."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    out = np.zeros((len(sigmas), *shape))
    for centre, label in zip(centres, classes, strict=True):
        distance = ((grid - centre) / sigmas[label]) ** 2
        out[label] = np.maximum(out[label], np.exp(-0.5 * distance.sum(-1)))
    return out


def test_one_at_the_centre_and_the_right_width_on_each_axis():
    heatmap = draw([[5, 6, 7], [5, 6, 8]], [0, 1])
    assert heatmap.dtype == np.float32
    assert heatmap[0, 5, 6, 7] == heatmap[1, 5, 6, 8] == heatmap[0].max() == heatmap[1].max() == 1
    one_sigma = pytest.approx(np.exp(-0.5), rel=1e-6)
    assert heatmap[0, 6, 6, 7] == heatmap[0, 5, 5, 7] == heatmap[0, 5, 6, 8] == one_sigma
    assert heatmap[1, 7, 6, 8] == heatmap[1, 5, 7, 8] == one_sigma
    assert heatmap[1, 5, 6, 9] == pytest.approx(np.exp(-2), rel=1e-6)  # two sigma of 0.5


def test_two_that_overlap_do_not_add_up():
    both, left, right = (
        draw(c, [0] * len(c)) for c in ([[5, 6, 6], [5, 6, 8]], [[5, 6, 6]], [[5, 6, 8]])
    )
    np.testing.assert_array_equal(both, np.maximum(left, right))
    assert both.max() == 1


def test_centres_outside_reach_in_as_far_as_they_do():
    heatmap = draw([[-2, 6, 7], [5, 6, 30]], [0, 0])
    assert heatmap[0, 0, 6, 7] == pytest.approx(np.exp(-2), rel=1e-6)
    assert heatmap[..., 12:].max() < CUT_OFF * 2
    assert draw([[-50, 0, 0], [0, 99, 0]], [0, 1]).max() == 0


def test_nothing_to_draw():
    heatmap = draw([], [], (2, 3, 4))
    assert heatmap.shape == (2, 2, 3, 4)
    assert not heatmap.any()


COORDINATE = st.floats(-6, 18)


@settings(max_examples=40)
@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, st.integers(0, 1)), max_size=5))
def test_against_gaussians_over_the_whole_grid(particles):
    centres = np.array([p[:3] for p in particles]).reshape(-1, 3)
    classes = [p[3] for p in particles]
    shape = (7, 9, 12)
    found = draw(centres, classes, shape)
    np.testing.assert_allclose(found, naive(centres, classes, shape, SIGMAS), atol=1.01 * CUT_OFF)
    assert found.min() >= 0
    assert found.max(initial=0) <= 1


def test_width_is_a_share_of_the_radius_between_its_limits_or_fixed():
    radii = np.array([20.0, 100.0, 500.0])
    between = TargetSettings(sigma_per_radius=0.3, sigma_min=15, sigma_max=40)
    assert target_sigmas(radii, between).tolist() == [15, 30, 40]
    assert target_sigmas(radii, TargetSettings(sigma=22.0)).tolist() == [22, 22, 22]


TYPES = ParticleTypes((ParticleType("small", 1, 40.0), ParticleType("large", 2, 200.0)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("gaussian", [[15, 15, 15], [40, 40, 40]]),
        ("sphere", [[20, 20, 20], [100, 100, 100]]),
        ("voxel", [[0, 0, 0], [0, 0, 0]]),
        ("points", [[40, 40, 40], [200, 200, 200]]),
        ("slices", [[20, 15, 15], [100, 40, 40]]),
    ],
)
def test_the_width_of_every_kind(kind, expected):
    assert target_widths(TYPES, TargetSettings(kind=kind)).tolist() == expected


def test_radii_of_ones_own_replace_the_projects():
    other = TargetSettings(kind="sphere", radius_share=0.4, radii={"small": 80.0, "unknown": 9.0})
    assert target_widths(TYPES, other)[:, 0].tolist() == [32, 80]


def inside_slowly(shape, centres, classes, radii):
    """The class of every cell by the rule: deepest sphere first, a centre's own cell included."""
    out = np.zeros((len(radii), *shape))
    for cell in np.ndindex(*shape):
        depths = [
            (sum(((c - p) / r) ** 2 for c, p, r in zip(cell, centre, radii[k], strict=True)), k)
            for centre, k in zip(centres, classes, strict=True)
            if sum(((c - p) / r) ** 2 for c, p, r in zip(cell, centre, radii[k], strict=True)) <= 1
            or all(abs(c - p) <= 0.5 for c, p in zip(cell, centre, strict=True))
        ]
        if depths:
            out[min(depths)[1]][cell] = 1
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5))
def test_spheres_against_the_rule_written_out(seed, n):
    rng = np.random.default_rng(seed)
    centres, classes = rng.uniform(-2, 9, (n, 3)), rng.integers(0, 2, n)
    radii = np.array([[2.5, 2.0, 3.0], [0.6, 0.7, 0.8]])
    found = sphere_target((5, 6, 7), centres, classes, radii, 2)
    np.testing.assert_array_equal(found, inside_slowly((5, 6, 7), centres, classes, radii))
    assert found.sum(0).max(initial=0) <= 1


def test_a_sphere_smaller_than_a_cell_has_its_own_cell():
    found = sphere_target(
        (4, 4, 4), np.array([[1.4, 1.4, 1.4]]), np.array([0]), np.full((1, 3), 0.1), 1
    )
    assert np.argwhere(found[0]).tolist() == [[1, 1, 1]]


def test_one_cell_per_particle():
    centres = np.array([[0.4, 1.6, 2.0], [-0.6, 1, 1], [3.4, 3.4, 3.4], [1, 1, 5.0]])
    found = voxel_target((4, 4, 4), centres, np.array([0, 0, 1, 1]), np.zeros((2, 3)), 2)
    assert np.argwhere(found).tolist() == [[0, 0, 2, 2], [1, 3, 3, 3]]


def test_slices_show_a_particle_as_high_as_it_is():
    found = slices_target(
        (9, 7, 7), np.array([[4.0, 3, 3]]), np.array([0]), np.array([[2.0, 1, 1]]), 1
    )
    assert (found[0, :, 3, 3] > 0).tolist() == [False] * 2 + [True] * 5 + [False] * 2
    assert found[0, 2:7, 3, 3].tolist() == [1] * 5
    np.testing.assert_allclose(found[0, 4, 3, 4], np.exp(-0.5), rtol=1e-6)


def test_points_are_rows():
    centres = np.array([[1.0, 2.0, 3.0], [-0.6, 0, 0], [0.0, 0, 3.4]])
    found = points_target((4, 4, 4), centres, np.array([1, 0, 0]), SIGMAS, 2)
    np.testing.assert_allclose(found, [[1, 2, 3, 1, 2, 1, 0.5], [0, 0, 3.4, 0, 1, 1, 1]], rtol=1e-6)

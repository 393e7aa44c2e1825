import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.settings import TargetSettings
from detector.targets import gaussian_target, target_sigmas

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

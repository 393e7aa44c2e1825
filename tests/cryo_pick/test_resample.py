"""Positions survive resampling: that is what matters, and what these tests look at."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.coordinates import index_to_angstrom
from cryo_pick.resample import resample
from cryo_pick.tomogram import Tomogram

ORIGIN = (-5.0, 3.0, 40.0)


def grid(tomogram):
    """Position of every voxel, (d, h, w, 3)."""
    index = np.stack(np.meshgrid(*map(np.arange, tomogram.shape), indexing="ij"), -1)
    return index_to_angstrom(index, tomogram.voxel_spacing, tomogram.origin)


def filled(shape, spacing, function):
    empty = Tomogram(np.zeros(shape, np.float32), spacing, ORIGIN, "run", "wbp")
    return Tomogram(function(grid(empty)).astype(np.float32), spacing, ORIGIN, "run", "wbp")


def ramp(positions):
    return positions @ np.array([1.0, -2.0, 0.5])


def blob(positions):
    return np.exp(-0.5 * ((positions - np.array([60, 55, 110.0])) ** 2).sum(-1) / 20**2)


def centroid(tomogram):
    weight = tomogram.array()[..., None]
    return (weight * grid(tomogram)).sum((0, 1, 2)) / weight.sum()


@given(st.floats(4, 16))
def test_a_finer_ramp_is_the_same_ramp(to):
    source = filled((9, 8, 7), (16.0, 16.0, 16.0), ramp)
    out = resample(source, to)
    np.testing.assert_allclose(out.volume[:], ramp(grid(out)), atol=1e-3)
    assert out.origin == ORIGIN
    assert out.voxel_spacing == (to, to, to)
    assert (out.run, out.tomo_type) == ("run", "wbp")


@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (8.0, 10.0, 13.0)])
@pytest.mark.parametrize("to", [5.0, 7.3, 10.0, 14.0, 20.0])
def test_a_particle_stays_where_it_is(spacing, to):
    shape = tuple(round(160 / s) for s in spacing)
    out = resample(filled(shape, spacing, blob), to)
    # A fiftieth of a voxel: the blob is cut off by the border at 3 sigma.
    np.testing.assert_allclose(centroid(out), [60, 55, 110], atol=0.3)


def test_the_same_spacing_changes_nothing():
    source = filled((5, 6, 7), (10.0, 10.0, 10.0), ramp)
    out = resample(source, 10.0)
    np.testing.assert_allclose(out.volume[:], source.volume, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("n", "spacing", "steps"), [(5, 10.0, 3), (5, 10.0, 12), (5, 0.9, 7), (11, 10.0, 20)]
)
def test_the_last_voxel_is_kept_when_it_lies_on_the_new_grid(n, spacing, steps):
    """In some of these a quotient that should be whole is rounded to just below."""
    source = filled((n, n, n), (spacing,) * 3, ramp)
    assert resample(source, (n - 1) * spacing / steps).shape == (steps + 1,) * 3


def test_no_voxel_lies_beyond_the_old_ones():
    out = resample(filled((10, 10, 10), (10.0, 10.0, 10.0), ramp), 13.0)
    assert (grid(out).max((0, 1, 2)) <= np.array(ORIGIN) + 90).all()
    assert out.shape == (7, 7, 7)


def test_coarsening_takes_away_what_the_new_grid_cannot_hold():
    noise = np.random.default_rng(0).standard_normal((40, 40, 40)).astype(np.float32)
    out = resample(Tomogram(noise, (10.0, 10.0, 10.0)), 20.0)
    # Mean over about 2x2x2 voxels: noise falls by up to 2 sqrt(2), and by 1 without the blur.
    assert 0.15 < out.array().std() < 0.55


@given(
    st.floats(5, 25),
    st.lists(st.tuples(st.integers(-3, 30), st.integers(-3, 30)), min_size=3, max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_a_slice_is_the_slice_of_the_resampled_whole(to, box):
    noise = np.random.default_rng(0).standard_normal((12, 17, 20)).astype(np.float32)
    out = resample(Tomogram(noise, (10.0, 8.0, 9.0)), to).volume
    slices = tuple(slice(a, b) for a, b in box)
    np.testing.assert_allclose(out[slices], out[:][slices], atol=1e-5)
    np.testing.assert_array_equal(out[::2, 1], out[:][::2, 1])


@pytest.mark.parametrize("to", [2.4, 41.0])
def test_spacings_too_far_apart_are_refused(to):
    with pytest.raises(ValueError, match="more than 4 times away"):
        resample(filled((4, 4, 4), (10.0, 10.0, 10.0), ramp), to)


@pytest.mark.parametrize("to", [0.0, -1.0, float("nan")])
def test_no_spacing_is_refused(to):
    with pytest.raises(ValueError, match="above 0"):
        resample(filled((4, 4, 4), (10.0, 10.0, 10.0), ramp), to)

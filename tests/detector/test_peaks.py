import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from detector.peaks import find_peaks, refine_peaks


def obvious_peaks(volume, threshold, kernel):
    """The rule, word by word: greatest in its window, first of its equals there."""
    r = kernel // 2
    flat = np.arange(volume.size).reshape(volume.shape)
    found = []
    for place in itertools.product(*map(range, volume.shape)):
        window = tuple(slice(max(p - r, 0), p + r + 1) for p in place)
        values, indices = volume[window], flat[window]
        top = volume[place]
        if (
            top >= threshold
            and (values <= top).all()
            and indices[values == top].min() == flat[place]
        ):
            found.append(place)
    return np.array(found, int).reshape(-1, 3)


def found_places(values, thresholds, kernel, **options):
    peaks = find_peaks(values, thresholds, kernel, subvoxel=False, **options)
    return peaks.classes, peaks.places.astype(int)


volumes = st.sampled_from([3, 5, 7]).flatmap(
    lambda kernel: st.tuples(
        st.just(kernel),
        arrays(
            np.float32,
            array_shapes(min_dims=3, max_dims=3, max_side=9),
            elements=st.integers(-2, 4).map(float),  # few values, so many plateaus
        ),
    )
)


@given(volumes, st.integers(-3, 4), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_peaks_are_those_of_the_rule_on_plateaus_and_tiny_shapes(case, threshold, threads):
    kernel, volume = case
    _, places = found_places(volume[None], threshold, kernel, threads=threads)
    np.testing.assert_array_equal(places, obvious_peaks(volume, threshold, kernel))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 30), (17, 1, 2), (20, 21, 22)])
@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_peaks_are_those_of_scipy_and_torch_where_no_values_are_equal(kernel, shape, sigma):
    rng = np.random.default_rng(0)
    volume = ndimage.gaussian_filter(rng.standard_normal(shape), sigma).astype(np.float32)
    threshold = float(np.quantile(volume, 0.3))
    by_scipy = ndimage.maximum_filter(volume, kernel, mode="constant", cval=-np.inf)
    tensor = torch.from_numpy(volume)[None, None]
    by_torch = torch.nn.functional.max_pool3d(tensor, kernel, 1, kernel // 2)[0, 0].numpy()
    _, places = found_places(volume[None], threshold, kernel)
    for pooled in (by_scipy, by_torch):
        expected = np.argwhere((pooled == volume) & (volume >= threshold))
        np.testing.assert_array_equal(places, expected)


def test_each_class_has_its_threshold_and_peaks_come_by_class():
    values = np.zeros((3, 8, 8, 8), np.float32)
    values[:, 2, 3, 4] = 0.5
    values[:, 7, 7, 7] = 0.2
    peaks = find_peaks(values, [0.1, 0.3, 0.6], 5, subvoxel=False)
    assert peaks.classes.tolist() == [0, 0, 1]
    assert peaks.places.tolist() == [[2, 3, 4], [7, 7, 7], [2, 3, 4]]
    np.testing.assert_allclose(peaks.scores, [0.5, 0.2, 0.5])


def test_a_value_equal_to_the_threshold_is_kept():
    values = np.zeros((1, 5, 5, 5), np.float32)
    values[0, 2, 2, 2] = 0.3
    assert len(find_peaks(values, 0.3, 3).scores) == 1


def test_a_view_that_is_not_contiguous_gives_the_same_peaks():
    values = np.random.default_rng(1).random((2, 12, 14, 16), np.float32)
    view = values.transpose(0, 3, 1, 2)[:, ::-1]
    for got, expected in zip(
        find_peaks(view, 0.5, 3), find_peaks(view.copy(), 0.5, 3), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_half_precision_is_searched_as_it_is():
    values = np.random.default_rng(2).random((1, 12, 14, 16), np.float32).astype(np.float16)
    _, places = found_places(values, 0.4, 3)
    np.testing.assert_array_equal(places, obvious_peaks(values[0], np.float16(0.4), 3))


@pytest.mark.parametrize("sigma", [0.75, 1.0, 2.0, 4.0])
def test_a_gaussian_is_found_between_the_voxels(sigma):
    rng = np.random.default_rng(3)
    for centre in rng.uniform(5, 10, (10, 3)):
        axes = [np.exp(-0.5 * ((np.arange(16) - c) / sigma) ** 2) for c in centre]
        volume = np.einsum("i,j,k->ijk", *axes).astype(np.float32)
        (position,) = find_peaks(volume[None], 0.1, 7).places
        # exact but for float32; the parabola of the narrowest costs at most 0.05
        np.testing.assert_allclose(position, centre, atol=0.05 if sigma < 1 else 1e-4)


def test_refinement_stays_within_half_a_voxel_and_off_the_border():
    volume = np.zeros((3, 3, 3), np.float32)
    volume[0, 1, 1] = volume[0, 1, 2] = 1.0
    np.testing.assert_allclose(refine_peaks(volume, np.array([[0, 1, 1]])), [[0.0, 1.0, 1.5]])


def test_a_flat_volume_has_one_peak_per_window_and_stays_there():
    peaks = find_peaks(np.ones((1, 4, 4, 4), np.float32), 0.5, 7)
    np.testing.assert_array_equal(peaks.places, [[0, 0, 0]])


def test_nothing_gives_nothing():
    assert find_peaks(np.zeros((2, 6, 6, 6), np.float32), 0.5, 3).places.shape == (0, 3)
    assert find_peaks(np.zeros((0, 6, 6, 6), np.float32), 0.5, 3).places.shape == (0, 3)
    assert find_peaks(np.zeros((1, 0, 6, 6), np.float32), 0.5, 3).places.shape == (0, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (4, 5, 6), (8, 8, 8)])
def test_nan_and_infinity_are_refused_wherever_they_are(bad, place):
    values = np.zeros((1, 9, 9, 9), np.float32)
    values[0][place] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        find_peaks(values, 0.5, 7)


@pytest.mark.parametrize(
    ("shape", "threshold", "kernel", "message"),
    [
        ((4, 4, 4), 0.5, 3, "(k, d, h, w)"),
        ((1, 4, 4, 4), 0.5, 4, "odd and at least 3, but got 4"),
        ((1, 4, 4, 4), 0.5, 1, "odd and at least 3, but got 1"),
        ((1, 4, 4, 4), np.nan, 3, "got NaN"),
    ],
)
def test_bad_arguments_are_refused(shape, threshold, kernel, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        find_peaks(np.zeros(shape, np.float32), threshold, kernel)

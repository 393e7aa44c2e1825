import cc3d
import numpy as np
import pytest
from scipy import ndimage

from detector.components import find_components


def test_a_blob_has_its_weighted_centroid_and_its_largest_value():
    values = np.zeros((1, 6, 6, 6), np.float32)
    values[0, 2, 3, 3] = 0.75
    values[0, 2, 3, 4] = 0.25
    found = find_components(values, 0.2)
    np.testing.assert_allclose(found.places, [[2, 3, 3.25]])
    np.testing.assert_allclose(found.scores, [0.75])
    assert found.classes.tolist() == [0]


def test_voxels_that_share_a_corner_belong_together():
    values = np.zeros((1, 6, 6, 6), np.float32)
    values[0, 1, 1, 1] = values[0, 2, 2, 2] = 0.5
    values[0, 4, 4, 5] = 0.5
    np.testing.assert_allclose(find_components(values, 0.5).places, [[1.5, 1.5, 1.5], [4, 4, 5]])


def test_small_blobs_are_dropped():
    values = np.zeros((1, 6, 6, 6), np.float32)
    values[0, 1, 1, 1] = 0.9
    values[0, 4, 4, 3:5] = 0.5
    np.testing.assert_allclose(find_components(values, 0.1, min_voxels=2).places, [[4, 4, 3.5]])


def test_blobs_are_those_of_cc3d():
    values = ndimage.gaussian_filter(np.random.default_rng(1).random((30, 33, 36)), 0.8)
    labels = cc3d.connected_components(values >= 0.55, connectivity=26)
    found = find_components(values[None], 0.55)
    assert len(found.scores) == labels.max() > 50
    expected = ndimage.center_of_mass(values, labels, np.arange(1, labels.max() + 1))
    first = np.unique(labels, return_index=True)[1][1:]  # cc3d numbers them in another order
    np.testing.assert_allclose(found.places, np.array(expected)[np.argsort(first)], atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_blobs_of_every_class_are_those_of_scipy(dtype):
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.random((2, 20, 24, 28)), (0, 1, 1, 1)).astype(dtype)
    thresholds = [0.55, 0.6]
    found = find_components(values, thresholds, min_voxels=3)
    for index, threshold in enumerate(thresholds):
        volume = values[index].astype(np.float64)
        labels, n = ndimage.label(values[index] >= np.float32(threshold), np.ones((3, 3, 3)))
        names = np.arange(1, n + 1)
        large = ndimage.sum_labels(np.ones_like(volume), labels, names) >= 3
        centroids = np.array(ndimage.center_of_mass(volume, labels, names))[large]
        scores = ndimage.maximum(volume, labels, names)[large]
        mine = found.classes == index
        assert large.sum() > 3
        np.testing.assert_allclose(found.places[mine], centroids, atol=1e-9)
        np.testing.assert_allclose(found.scores[mine], scores, atol=1e-6)


def test_nothing_gives_nothing():
    assert find_components(np.zeros((2, 4, 4, 4), np.float32), 0.5).places.shape == (0, 3)
    assert find_components(np.zeros((0, 4, 4, 4), np.float32), 0.5).places.shape == (0, 3)


@pytest.mark.parametrize(
    ("values", "threshold", "message"),
    [
        (np.zeros((4, 4, 4)), 0.5, "but got shape"),
        (np.zeros((1, 4, 4, 4)), 0.0, "above 0"),
        (np.full((1, 4, 4, 4), np.nan), 0.5, "NaN or infinity"),
    ],
)
def test_bad_input_is_refused(values, threshold, message):
    with pytest.raises(ValueError, match=message):
        find_components(values, threshold)

import numpy as np
import pytest

from detector.heatmap import Heatmap, heatmap_to_voxel_index, voxel_to_heatmap_index


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_cell_lies_at_the_centre_of_the_voxels_that_it_covers(stride):
    for cell in range(5):
        covered = np.arange(cell * stride, (cell + 1) * stride)
        assert heatmap_to_voxel_index(cell, stride) == covered.mean()


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_two_conversions_are_inverse(stride):
    index = np.random.default_rng(0).uniform(-5, 50, (20, 3))
    there = heatmap_to_voxel_index(index, stride)
    np.testing.assert_allclose(voxel_to_heatmap_index(there, stride), index, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_mirroring_a_volume_mirrors_its_cells(stride):
    n_cells = 6
    cells = np.arange(n_cells)
    voxels = heatmap_to_voxel_index(cells, stride)
    np.testing.assert_allclose(n_cells * stride - 1 - voxels, voxels[::-1])


@pytest.mark.parametrize(
    ("values", "stride", "message"),
    [
        (np.zeros((2, 3, 4)), 2, "4|shape"),
        (np.zeros((1, 2, 3, 4), int), 2, "float array"),
        (np.zeros((1, 2, 3, 4)), 0, "`stride` to be 1 or more"),
    ],
)
def test_bad_heatmaps_are_refused(values, stride, message):
    with pytest.raises(ValueError, match=message):
        Heatmap(values, stride)

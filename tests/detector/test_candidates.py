import dataclasses

import numpy as np
import pytest

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleType, ParticleTypes
from detector.candidates import heatmap_candidates, kernel_cells, merge_peaks
from detector.heatmap import Heatmap, voxel_to_heatmap_index
from detector.settings import CandidatesSettings
from detector.targets import gaussian_target

SPACING = (10.0, 10.0, 10.0)
ORIGIN = (-5.0, 0.0, 12.5)
TYPES = ParticleTypes(tuple(ParticleType(name, i + 1, 60.0) for i, name in enumerate("abc")))
SETTINGS = CandidatesSettings(threshold=0.1, kernel=7)
ASIDE = np.array([0.0, 0.0, 20.0])


def drawn(positions, classes, stride=2, sigma=20.0, heights=None, shape=(20, 24, 28)):
    """Heatmap with a Gaussian at each position (Å, zyx)."""
    voxels = angstrom_to_index(positions, SPACING, ORIGIN)
    cells = voxel_to_heatmap_index(voxels, stride)
    sigmas = np.full((len(TYPES), 3), sigma / SPACING[0] / stride)
    heights = np.ones(len(cells)) if heights is None else np.asarray(heights)
    values = np.zeros((len(TYPES), *shape), np.float32)
    for cell, label, height in zip(cells, classes, heights, strict=True):
        one = gaussian_target(shape, cell[None], np.array([label]), sigmas, len(TYPES))
        values = np.maximum(values, np.float32(height) * one)
    return Heatmap(values, stride)


def candidates(heatmap, **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    return heatmap_candidates(heatmap, SPACING, ORIGIN, settings, TYPES)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_gaussian_comes_back_within_a_tenth_of_a_voxel(stride, dtype):
    rng = np.random.default_rng(0)
    tolerance = 0.1 * SPACING[0]
    for _ in range(5):
        position = rng.uniform(60, 130, 3)
        heatmap = drawn([position], [1], stride, sigma=12.0 * stride)
        heatmap = Heatmap(heatmap.values.astype(dtype), stride)
        (found,) = candidates(heatmap).positions
        assert np.abs(found - position).max() < tolerance


def test_components_find_a_gaussian_too():
    position = np.array([180.0, 200.0, 220.0])
    found = candidates(drawn([position], [1]), method="components")
    assert np.abs(found.positions - position).max() < 0.1 * SPACING[0]
    assert found.stage1[0, 1] > 0.9


def test_peaks_of_different_classes_at_one_place_are_one_candidate():
    place = np.array([150.0, 200.0, 250.0])
    heatmap = drawn([place, place + ASIDE], [0, 2], heights=[0.6, 0.9])
    found = candidates(heatmap, merge_distance=30.0)
    assert len(found) == 1
    np.testing.assert_allclose(found.positions[0], place + ASIDE, atol=1.0)
    np.testing.assert_allclose(found.stage1[0, [0, 2]], heatmap.values.max((1, 2, 3))[[0, 2]])
    assert found.stage1[0, 1] == 0


def test_peaks_of_different_classes_further_apart_are_two():
    place = np.array([150.0, 200.0, 250.0])
    found = candidates(drawn([place, place + 2 * ASIDE], [0, 2]), merge_distance=30.0)
    assert len(found) == 2


def test_peaks_of_one_class_are_never_joined():
    place = np.array([150.0, 200.0, 250.0])
    heatmap = drawn([place, place + 3 * ASIDE], [1, 1], sigma=15.0)
    assert len(candidates(heatmap, merge_distance=100.0)) == 2


def test_the_strongest_takes_what_is_near_and_the_rest_stays():
    positions = np.array([[0, 0, 0], [0, 0, 20], [0, 0, 40], [0, 0, 5]], float)
    # 0 takes 1; 2 is near 1 only, which is gone; 3 is of the class of 0
    assert merge_peaks(positions, np.array([0, 1, 2, 0]), 25.0).tolist() == [0, 0, 2, 3]


def test_a_class_without_a_peak_gets_the_heatmap_at_the_place():
    values = np.zeros((3, 12, 12, 12), np.float32)
    values[0, 6, 6, 6] = 0.8
    values[1, 6, 6, 5:9] = [0.2, 0.3, 0.4, 0.5]  # rises away to a peak 40 Å from the place
    found = candidates(Heatmap(values, 2), merge_distance=30.0)
    assert len(found) == 2
    at_place = found.stage1[np.argmax(found.stage1[:, 0])]
    np.testing.assert_allclose(at_place, [0.8, 0.3, 0.0])


def test_scores_are_within_0_and_1_and_the_strongest_come_first():
    places = [[100.0, 100, 100], [100, 250, 250], [250, 100, 250]]
    found = candidates(drawn(places, [0, 1, 2], heights=[0.4, 1.3, 0.7]))
    assert found.stage1.max() == 1.0
    assert found.stage1.max(1).tolist() == sorted(found.stage1.max(1).tolist(), reverse=True)
    assert found.stage1.argmax(1).tolist() == [1, 2, 0]
    weakest_left_out = candidates(drawn(places, [0, 1, 2], heights=[0.4, 1.3, 0.7]), max_per_run=2)
    np.testing.assert_array_equal(weakest_left_out.positions, found.positions[:2])


def test_nothing_above_the_threshold_gives_no_candidates():
    found = candidates(Heatmap(np.zeros((3, 6, 6, 6), np.float32), 2))
    assert len(found) == 0
    assert found.n_classes == 3


@pytest.mark.parametrize(
    ("kernel", "stride", "cells"),
    [(7, 1, 7), (7, 2, 3), (9, 2, 5), (3, 2, 3), (7, 4, 3), (5, 1, 5)],
)
def test_the_kernel_in_cells_forbids_what_it_forbids_in_voxels(kernel, stride, cells):
    assert kernel_cells(kernel, stride) == cells


def test_bad_settings_and_classes_are_refused():
    heatmap = Heatmap(np.zeros((3, 6, 6, 6), np.float32), 2)
    with pytest.raises(ConfigError, match=r"candidates\.method: expected peaks or components"):
        candidates(heatmap, method="watershed")
    with pytest.raises(ConfigError, match=r"candidates\.threshold: expected above 0"):
        candidates(heatmap, threshold=0.0)
    with pytest.raises(ValueError, match="of 3 classes, but got 2 channels"):
        candidates(Heatmap(heatmap.values[:2], 2))


def test_points_leave_out_doubles_that_peaks_keep():
    """Two peaks of one class 40 Å apart: too close for particles of 100 Å, if OKS says so."""
    types = ParticleTypes(tuple(ParticleType(n, i + 1, 100.0) for i, n in enumerate("abc")))
    places = np.array([[150.0, 150, 150], [150, 150, 190], [150, 300, 150]])
    heatmap = drawn(
        places, [0, 0, 0], sigma=8.0, heights=[0.9, 0.8, 0.7], stride=1, shape=(40, 40, 40)
    )

    def found(**changes):
        settings = dataclasses.replace(SETTINGS, merge_distance=5.0, **changes)
        return heatmap_candidates(heatmap, SPACING, ORIGIN, settings, types).positions

    # exp(-40² / 2 100²) = 0.923
    assert len(found(method="points", oks=0.95)) == 3
    kept = found(method="points", oks=0.9)
    assert np.abs(kept - places[[0, 2]]).max() < 2
    assert len(found(method="peaks", kernel=3)) == 3


def test_linked_slices_are_particles_at_their_mean():
    """A tower of marks that leans, another beside it, and one too low."""
    values = np.zeros((len(TYPES), 20, 24, 28), np.float32)
    for z in range(4, 11):
        values[0, z, 8, 6 + (z - 4) // 3] = 0.8
        values[0, z, 8, 16] = 0.6
    values[1, 2:4, 15, 15] = 0.9
    found = candidates(
        Heatmap(values, 1), method="linked", link_distance=15.0, min_slices=3, kernel=5
    )
    assert len(found) == 2
    expected = np.array([[7, 8, 6 + 5 / 7], [7, 8, 16]])
    voxels = angstrom_to_index(found.positions, SPACING, ORIGIN)
    np.testing.assert_allclose(voxels[np.argsort(voxels[:, 2])], expected)
    # The mean of the marks, or the heatmap at that place where that is more.
    assert np.sort(found.stage1[:, 0])[::-1] == pytest.approx([0.8, 0.6], abs=1e-3)
    lower = candidates(
        Heatmap(values, 1), method="linked", link_distance=15.0, min_slices=2, kernel=5
    )
    assert len(lower) == 3

import numpy as np
import pytest
import torch

from detector.peaks import Peaks, find_peaks
from detector.points import oks_distance, without_doubles
from detector.points_head import PointsHead, draw_points


@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_point_is_found_where_it_is_meant(seed):
    """One cell says where the particle is, to a fraction of a cell; the peak says it again."""
    rng = np.random.default_rng(seed)
    offset = rng.uniform(-0.5, 0.5, 3)
    scores, offsets = torch.zeros(1, 1, 9, 9, 9), torch.zeros(1, 3, 9, 9, 9)
    scores[0, 0, 4, 3, 5] = 0.8
    offsets[0, :, 4, 3, 5] = torch.from_numpy(offset)
    heatmap = draw_points(scores, offsets)[0].numpy()
    (place,) = find_peaks(heatmap, 0.1, 3).places
    np.testing.assert_allclose(place, np.array([4, 3, 5]) + offset, atol=1e-4)
    assert heatmap.max() <= 0.8


def test_neighbours_that_mean_one_place_draw_one_point():
    scores = torch.zeros(1, 2, 7, 7, 7)
    offsets = torch.zeros(1, 3, 7, 7, 7)
    centre = torch.tensor([3.2, 2.9, 3.4])
    for z in (3, 4):
        for x in (3, 4):
            scores[0, 1, z, 3, x] = 0.9 - 0.1 * ((z - 3) + (x - 3))
            offsets[0, :, z, 3, x] = centre - torch.tensor([z, 3.0, x])
    found = find_peaks(draw_points(scores, offsets)[0].numpy(), 0.1, 3)
    assert found.classes.tolist() == [1]
    np.testing.assert_allclose(found.places[0], centre, atol=1e-3)
    assert found.scores[0] == pytest.approx(
        0.9 * np.exp(-0.5 * (0.2**2 + 0.1**2 + 0.4**2)), rel=1e-4
    )


def test_drawing_is_the_largest_gaussian_of_the_neighbours():
    rng = np.random.default_rng(0)
    scores, offsets = rng.random((1, 2, 3, 4, 5)), rng.uniform(-1, 1, (1, 3, 3, 4, 5))
    found = draw_points(torch.from_numpy(scores), torch.from_numpy(offsets)).numpy()
    expected = np.zeros_like(scores)
    for q in np.ndindex(3, 4, 5):
        for c in np.ndindex(3, 4, 5):
            if max(abs(a - b) for a, b in zip(q, c, strict=True)) <= 1:
                far = sum((np.array(c) + offsets[(0, slice(None), *c)] - q) ** 2)
                drawn = scores[(0, slice(None), *c)] * np.exp(-0.5 * far)
                expected[(0, slice(None), *q)] = np.maximum(expected[(0, slice(None), *q)], drawn)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_head_says_little_at_first():
    torch.manual_seed(0)
    head = PointsHead(8, 3)
    features = torch.randn(1, 8, 6, 6, 6)
    assert head.train()(features).shape == (1, 6, 6, 6, 6)
    heatmap = head.eval()(features)
    assert heatmap.shape == (1, 3, 6, 6, 6)
    assert heatmap.max() < 0.2


def test_oks_and_distance_are_one():
    distance = oks_distance(np.array([60.0, 150.0]), 0.85)
    np.testing.assert_allclose(np.exp(-(distance**2) / (2 * np.array([60.0, 150.0]) ** 2)), 0.85)


def test_doubles_go_by_class_and_score():
    peaks = Peaks(
        np.array([0, 0, 1, 1]),
        np.array([[0.0, 0, 0], [0, 0, 3], [0, 0, 1], [0, 0, 9]]),
        np.array([0.5, 0.9, 0.4, 0.3], np.float32),
    )
    cell = np.array([10.0, 10.0, 10.0])
    kept = without_doubles(peaks, np.array([60.0, 60.0]), cell, 0.85)  # within 34 Å
    assert kept.classes.tolist() == [0, 1, 1]
    np.testing.assert_allclose(kept.places[:, 2], [3, 1, 9])
    np.testing.assert_allclose(kept.scores, [0.9, 0.4, 0.3])

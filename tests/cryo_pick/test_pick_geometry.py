import numpy as np
import pytest

from cryo_pick.pick_geometry import (
    axis_mistakes,
    clipped,
    decide,
    inside,
    scale_mistakes,
    weigh_mistakes,
)
from cryo_pick.tomogram import Tomogram

SHAPE, SPACING, RADIUS = (32, 64, 80), 10.0, 50.0


@pytest.fixture(scope="module")
def scene() -> tuple[Tomogram, np.ndarray]:
    """Twenty dark balls in noise, away from the borders and from any symmetry."""
    rng = np.random.default_rng(5)
    size = np.array(SHAPE) * SPACING
    positions = rng.uniform(60, size - 60, (20, 3))
    volume = rng.normal(0, 0.5, SHAPE).astype(np.float32)
    grid = np.stack(np.indices(SHAPE), axis=-1) * SPACING
    for position in positions:
        volume -= np.exp(-np.square(grid - position).sum(-1) / (2 * 25.0**2)).astype(np.float32)
    return Tomogram(volume, (SPACING,) * 3), positions


def judge(scene: tuple[Tomogram, np.ndarray], picks: np.ndarray) -> str | None:
    mistakes = axis_mistakes() + scale_mistakes(SPACING)
    rng = np.random.default_rng(0)
    verdict = decide(weigh_mistakes([scene[0]], [picks], RADIUS, mistakes, rng), mistakes)
    return verdict.mistake.words if verdict.mistake else None


def test_there_are_all_ways_to_turn_a_volume() -> None:
    mistakes = axis_mistakes()
    assert len({m.words for m in mistakes}) == 47
    tomogram = Tomogram(np.zeros(SHAPE, np.float32), (SPACING,) * 3, (5.0, 0.0, -5.0))
    point = np.array([[15.0, 20.0, 25.0]])
    results = {tuple(np.round(m.undo(point, tomogram)[0], 6)) for m in mistakes}
    assert len(results) == 47
    assert tuple(point[0]) not in results


def test_mirroring_maps_the_first_voxel_to_the_last() -> None:
    tomogram = Tomogram(np.zeros((4, 5, 6), np.float32), (2.0, 3.0, 4.0), (1.0, 1.0, 1.0))
    mirror = next(m for m in axis_mistakes() if m.words == "y is mirrored")
    assert mirror.undo(np.array([[1.0, 1.0, 1.0]]), tomogram).tolist() == [[1.0, 13.0, 1.0]]


def test_right_picks_are_left_alone(scene: tuple[Tomogram, np.ndarray]) -> None:
    assert judge(scene, scene[1]) is None
    assert judge(scene, scene[1] + 5.0) is None  # half a voxel is an offset, not a mistake


@pytest.mark.parametrize(
    ("order", "words"),
    [((0, 2, 1), "x and y are swapped"), ((2, 1, 0), "x and z are swapped"),
     ((1, 0, 2), "y and z are swapped")],
)  # fmt: skip
def test_swapped_axes_are_named(
    scene: tuple[Tomogram, np.ndarray], order: tuple[int, ...], words: str
) -> None:
    assert judge(scene, scene[1][:, list(order)]) == words


def test_a_mirrored_axis_is_named(scene: tuple[Tomogram, np.ndarray]) -> None:
    mirrored = scene[1].copy()
    mirrored[:, 2] = (SHAPE[2] - 1) * SPACING - mirrored[:, 2]
    assert judge(scene, mirrored) == "x is mirrored"


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1 / SPACING, "picks are in voxels or nm"), (0.5, "too small by a factor of 2"),
     (1 / 1.08, "too small by 8"), (1 / 0.92, "too large by 8")],
)  # fmt: skip
def test_a_wrong_scale_is_named(
    scene: tuple[Tomogram, np.ndarray], factor: float, words: str
) -> None:
    found = judge(scene, scene[1] * factor)
    assert found is not None
    assert words in found


def test_random_picks_are_no_mistake(scene: tuple[Tomogram, np.ndarray]) -> None:
    size = np.array(SHAPE) * SPACING
    assert judge(scene, np.random.default_rng(9).uniform(0, size, (20, 3))) is None


def test_voxels_and_nm_are_told_apart_where_they_can_be() -> None:
    words = [m.words for m in scale_mistakes(13.5)]
    assert "picks are in voxels, not in Å" in words
    assert "picks are in nm, not in Å" in words


def test_gold_is_clipped() -> None:
    volume = np.random.default_rng(0).normal(0, 1, (16, 16, 16)).astype(np.float32)
    volume[3, 3, 3] = -500
    found = clipped(Tomogram(volume, (SPACING,) * 3), 5.0).volume
    assert -7 < found.min() < -3
    assert volume.min() == -500  # the original stays


def test_inside_counts_outer_voxels_whole() -> None:
    tomogram = Tomogram(np.zeros((4, 4, 4), np.float32), (10.0,) * 3, (100.0,) * 3)
    z = np.array([94.9, 95.1, 134.9, 135.1])
    points = np.stack([z, np.full(4, 120.0), np.full(4, 120.0)], axis=1)
    assert inside(tomogram, points).tolist() == [False, True, True, False]

import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.pick_alignment import (
    Alignment,
    check_alignment,
    measure_alignment,
    suggested_origin,
)
from cryo_pick.pick_offset import Offset
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram

SHAPE, SPACING = (36, 90, 90), 10.0
TYPES = ParticleTypes((ParticleType("ball", 1, 55.0), ParticleType("shell", 2, 60.0)))


@pytest.fixture(scope="module")
def scene() -> tuple[Tomogram, Picks]:
    """Balls and hollow shells on a jittered grid, dark, in noise."""
    rng = np.random.default_rng(11)
    size = np.array(SHAPE) * SPACING
    steps = [np.linspace(80, s - 80, n) for s, n in zip(size, (2, 5, 5), strict=True)]
    positions = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    positions += rng.uniform(-25, 25, positions.shape)
    picks = Picks(positions, np.arange(len(positions)) % 2)
    volume = rng.normal(0, 0.3, SHAPE).astype(np.float32)
    grid = np.stack(np.indices(SHAPE), axis=-1).astype(np.float32) * SPACING
    for position, k in zip(picks.positions, picks.classes, strict=True):
        r = np.sqrt(np.square(grid - position.astype(np.float32)).sum(-1))
        volume -= np.exp(-((r / 30) ** 2)) if k == 0 else np.exp(-(((r - 42) / 10) ** 2))
    return Tomogram(volume, (SPACING,) * 3), picks


def inspect(scene: tuple[Tomogram, Picks], positions: np.ndarray) -> Alignment:
    picks = Picks(positions, scene[1].classes)
    return measure_alignment([scene[0]], [picks], TYPES, np.random.default_rng(0))


def test_right_picks_have_no_problem(scene: tuple[Tomogram, Picks]) -> None:
    found = inspect(scene, scene[1].positions)
    assert check_alignment(found) == []
    assert found.pooled is not None
    assert set(found.offsets) == {"ball", "shell"}
    assert np.abs(found.pooled.mean).max() < 0.1 * SPACING


def test_a_half_voxel_is_found_and_its_cure_named(scene: tuple[Tomogram, Picks]) -> None:
    problems = check_alignment(inspect(scene, scene[1].positions - 5.0))
    assert len(problems) == 1
    assert "half a voxel on every axis" in problems[0].what
    assert problems[0].do == "use data.origin_voxels=-0.5"


def test_the_cure_works(scene: tuple[Tomogram, Picks]) -> None:
    tomogram = Tomogram(scene[0].volume, (SPACING,) * 3, (-5.0,) * 3)
    picks = Picks(scene[1].positions - 5.0, scene[1].classes)
    found = measure_alignment([tomogram], [picks], TYPES, np.random.default_rng(0))
    assert check_alignment(found) == []


def test_an_offset_of_one_axis_is_given_per_axis(scene: tuple[Tomogram, Picks]) -> None:
    found = inspect(scene, scene[1].positions + np.array([0, 0, 8.0]))
    (problem,) = check_alignment(found)
    assert "half a voxel" not in problem.what
    origin = problem.do.removeprefix("use data.origin=[").rstrip("]").split(",")
    assert np.abs(np.array(origin, float) - [0, 0, 8.0]).max() < 1.0


def test_a_swapped_axis_is_found_and_the_offset_measured_without_it(
    scene: tuple[Tomogram, Picks],
) -> None:
    found = inspect(scene, scene[1].positions[:, [0, 2, 1]] + 5.0)
    (problem,) = check_alignment(found)
    assert problem.what.startswith("x and y are swapped")
    assert found.pooled is not None
    assert np.abs(found.pooled.mean + 5.0).max() < 0.15 * SPACING


def test_an_axis_swapped_in_one_class_is_found(scene: tuple[Tomogram, Picks]) -> None:
    positions = scene[1].positions.copy()
    shells = scene[1].classes == 1
    positions[shells] = positions[shells][:, [0, 2, 1]]
    problems = check_alignment(inspect(scene, positions))
    assert [p.where for p in problems] == ["shell"]
    assert "x and y are swapped, in this class only" in problems[0].what


@pytest.mark.parametrize("factor", [1.01, 1.05, 0.93, 13.5 / 10.0 * 8])
def test_a_wrong_scale_is_found_to_a_few_parts_in_a_thousand(
    scene: tuple[Tomogram, Picks], factor: float
) -> None:
    if factor > 2:
        factor = 1 / SPACING  # picks in voxels
    (problem,) = check_alignment(inspect(scene, scene[1].positions * factor))
    advised = float(problem.do.removeprefix("multiply the picks by ").split(",")[0])
    assert abs(advised * factor - 1) < 0.004


def test_picks_on_nothing_are_said_to_be(scene: tuple[Tomogram, Picks]) -> None:
    size = np.array(SHAPE) * SPACING
    found = inspect(scene, np.random.default_rng(8).uniform(40, size - 40, (50, 3)))
    (problem,) = check_alignment(found)
    assert "looks like that around random places" in problem.what
    assert found.offsets == {}


def test_a_class_that_is_off_by_itself_is_a_notice(scene: tuple[Tomogram, Picks]) -> None:
    positions = scene[1].positions.copy()
    positions[scene[1].classes == 1] += [0, 14.0, 0]
    problems = check_alignment(inspect(scene, positions))
    assert {"ball", "shell"} <= {p.where for p in problems if p.severity == "notice"}


def test_too_few_picks_say_nothing(scene: tuple[Tomogram, Picks]) -> None:
    few = scene[1][np.arange(5)]
    found = measure_alignment([scene[0]], [few], TYPES, np.random.default_rng(0))
    assert found.overall is None
    assert check_alignment(found) == []
    assert suggested_origin(found) is None


def test_a_suggestion_starts_from_the_origin_in_use() -> None:
    mean, ones = np.array([2.5, 2.5, 2.5]), np.ones(3)
    offset = Offset(mean, 0.1 * ones, 0 * ones, ones, 50)
    alignment = Alignment((10.0,) * 3, (-2.5,) * 3, (900.0,) * 3, None, pooled=offset)
    assert suggested_origin(alignment) == "data.origin_voxels=-0.5"

import numpy as np
import pytest

from cryo_pick.pick_offset import (
    MIN_PICKS,
    Offset,
    combine_offsets,
    cut_cubes,
    measure_offset,
    symmetric_centre,
)
from cryo_pick.tomogram import Tomogram

SPACING, SHAPE = 10.0, (40, 96, 96)
TOLERANCE = 0.12  # voxels: 40 noisy particles average to about a third of it


def lattice(n_z: int, n_y: int, n_x: int, rng: np.random.Generator) -> np.ndarray:
    """Positions on a jittered grid, so that particles don't overlap."""
    size = np.array(SHAPE) * SPACING
    steps = [np.linspace(90, s - 90, n) for s, n in zip(size, (n_z, n_y, n_x), strict=True)]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid + rng.uniform(-15, 15, grid.shape)


def paint(positions: np.ndarray, rng: np.random.Generator, shell: bool = False) -> Tomogram:
    """Dark balls, or hollow shells, each with a lobe to one side, in noise."""
    volume = rng.normal(0, 0.3, SHAPE).astype(np.float32)
    for position in positions:
        lobe = rng.normal(size=3)
        lobe *= 30.0 / np.linalg.norm(lobe)
        low = np.maximum(((position - 110) / SPACING).astype(int), 0)
        high = np.minimum(((position + 110) / SPACING).astype(int) + 2, SHAPE)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        where = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)),
                                     indexing="ij"), axis=-1) * SPACING  # fmt: skip
        r = np.linalg.norm(where - position, axis=-1)
        body = np.exp(-(((r - 45) / 12) ** 2)) if shell else np.exp(-((r / 35) ** 2))
        side = np.exp(-np.square(np.linalg.norm(where - position - lobe, axis=-1) / 20))
        volume[box] -= body + 0.5 * side
    return Tomogram(volume, (SPACING,) * 3)


@pytest.mark.parametrize("shift", [(0, 0, 0), (0.3, -0.8, 0.0), (-1.4, 1.6, 2.2)])
def test_the_centre_of_a_symmetric_blob_is_found(shift: tuple[float, ...]) -> None:
    axes = [np.arange(-8, 9) - s for s in shift]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    blob = np.exp(-(z**2 / 4 + y**2 / 9 + x**2 / 6))  # symmetric, but no sphere
    assert np.abs(symmetric_centre(blob) - shift).max() < 0.06
    assert np.abs(symmetric_centre(5 - 3 * blob) - shift).max() < 0.06  # contrast doesn't matter


def test_cubes_are_cut_where_they_should_be() -> None:
    tomogram = Tomogram(np.zeros((9, 11, 13), np.float32), (10.0, 20.0, 5.0), (1.0, 2.0, 3.0))
    tomogram.volume[4, 5, 6] = 1.0
    centre = np.array([[1 + 4 * 10.0, 2 + 5 * 20.0, 3 + 6 * 5.0]])
    cube = cut_cubes(tomogram, centre, 5.0, 2)[0]
    assert cube.shape == (5, 5, 5)
    assert cube[2, 2, 2] == 1
    assert np.allclose(cube[[1, 3], 2, 2], 0.5)  # half a voxel of 10 Å
    assert np.allclose(cube[2, [1, 3], 2], 0.75)  # a quarter of 20 Å
    assert np.allclose(cube[2, 2, [1, 3]], 0)  # a whole voxel of 5 Å


@pytest.mark.parametrize("shell", [False, True])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (-0.5, -0.5, -0.5), (0.0, 1.3, -0.7)])
def test_a_shift_of_the_picks_is_measured(shift: tuple[float, ...], shell: bool) -> None:
    rng = np.random.default_rng(1)
    positions = lattice(2, 5, 4, rng)
    tomogram = paint(positions, rng, shell)
    picks = positions + np.array(shift) * SPACING
    found = measure_offset([tomogram], [picks], 60.0)
    assert found is not None
    assert found.n_picks == 40
    error = found.mean / SPACING + shift
    assert np.abs(error).max() < TOLERANCE
    assert np.all(np.abs(error) < 4 * found.error / SPACING + 0.03)


def test_a_wrong_scale_is_a_growing_offset() -> None:
    rng = np.random.default_rng(2)
    positions = lattice(2, 6, 5, rng)
    found = measure_offset([paint(positions, rng)], [positions / 1.02], 60.0)
    assert found is not None
    assert np.abs(found.stretch[1:] - 0.02).max() < 0.005
    assert np.all(found.stretch_error[1:] < 0.005)


def test_too_few_picks_measure_nothing() -> None:
    tomogram = Tomogram(np.zeros((30, 30, 30), np.float32), (SPACING,) * 3)
    many_outside = np.full((50, 3), -100.0)
    assert measure_offset([tomogram], [many_outside], 60.0) is None
    few = np.full((MIN_PICKS - 1, 3), 150.0)
    assert measure_offset([tomogram], [few], 60.0) is None


def test_the_surer_class_weighs_more() -> None:
    def offset(mean: float, error: float, stretch_error: float) -> Offset:
        ones = np.ones(3)
        return Offset(mean * ones, error * ones, 0 * ones, stretch_error * ones, 10)

    found = combine_offsets([offset(5.0, 1.0, np.inf), offset(0.0, 2.0, np.inf)])
    assert np.allclose(found.mean, 4.0)
    assert np.allclose(found.error, 0.8**0.5)
    assert np.isinf(found.stretch_error).all()
    assert found.n_picks == 20
    with pytest.raises(ValueError, match="at least one"):
        combine_offsets([])

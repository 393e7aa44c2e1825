import numpy as np
import pytest

from cryo_pick.simulate.density import (
    Density,
    center_of_mass,
    mass_radius,
    normalize_bulk,
    resample,
)


def gaussian(n: int, center: tuple[float, float, float], sigma: float) -> np.ndarray:
    grid = np.indices((n, n, n)).reshape(3, -1).T - np.array(center)
    return np.exp(-0.5 * (grid**2).sum(1) / sigma**2).reshape(n, n, n).astype(np.float32)


def test_pose_without_rotation_or_shift_is_the_grid_with_one_voxel_around() -> None:
    density = Density("blob", gaussian(15, (6.0, 7.5, 8.0), 1.5), 10.0)
    posed = density.pose(np.eye(3), np.zeros(3))
    assert posed.shape == (17, 17, 17)
    np.testing.assert_allclose(posed[1:-1, 1:-1, 1:-1], density.grid, atol=1e-5)


@pytest.mark.parametrize("shift", [(0.5, 0, 0), (-0.3, 0.2, 0.45), (0.0, -0.5, 0.1)])
def test_pose_shifts_by_fractions_of_a_voxel(shift: tuple[float, float, float]) -> None:
    density = Density("blob", gaussian(17, (8, 8, 8), 1.7), 10.0)
    posed = density.pose(np.eye(3), np.array(shift))
    np.testing.assert_allclose(center_of_mass(posed) - 9, shift, atol=2e-3)


def test_pose_rotates_vectors_in_z_y_x_order() -> None:
    density = Density("blob", gaussian(21, (13, 10, 10), 1.5), 10.0)
    z_to_y = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    posed = density.pose(z_to_y, np.zeros(3))
    np.testing.assert_allclose(center_of_mass(posed) - 11, (0, 3, 0), atol=1e-3)


def test_normalize_bulk_makes_a_solid_body_1_and_drops_negative_values() -> None:
    grid = np.full((9, 9, 9), -2.0, np.float32)
    grid[2:7, 2:7, 2:7] = 40.0
    scaled = normalize_bulk(grid)
    np.testing.assert_allclose(scaled[2:7, 2:7, 2:7], 1.0)
    assert scaled.min() == 0
    np.testing.assert_allclose(normalize_bulk(grid * 7), scaled, rtol=1e-6)


def test_mass_radius_of_a_shell_is_its_radius() -> None:
    z, y, x = np.indices((31, 31, 31)) - 15
    radius = np.sqrt(z**2 + y**2 + x**2)
    shell = (np.abs(radius - 10) < 0.5).astype(np.float32)
    assert mass_radius(shell, 0.5) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("to_spacing", [4.0, 10.0, 13.5])
def test_resample_centres_and_keeps_the_size(to_spacing: float) -> None:
    sigma_angstrom = 20.0
    grid = gaussian(40, (17.3, 22.1, 19.0), sigma_angstrom / 5)
    cube = resample(grid, (5.0, 5.0, 5.0), to_spacing)
    middle = (cube.shape[0] - 1) / 2
    assert cube.shape[0] % 2 == 1
    np.testing.assert_allclose(center_of_mass(cube), (middle,) * 3, atol=0.02)
    # The volume under a Gaussian is (2 pi)^(3/2) sigma^3 whatever the grid.
    mass = float(cube.sum()) * to_spacing**3
    assert mass == pytest.approx((2 * np.pi) ** 1.5 * sigma_angstrom**3, rel=0.05)


def test_resample_takes_a_spacing_per_axis() -> None:
    grid = gaussian(33, (16, 16, 16), 3.0)
    cube = resample(grid, (10.0, 5.0, 5.0), 5.0)
    squared = [
        float((cube * (np.arange(len(cube)) - len(cube) // 2).reshape(shape) ** 2).sum())
        for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    ]
    assert squared[0] / squared[1] == pytest.approx(4, rel=0.05)
    assert squared[1] == pytest.approx(squared[2], rel=1e-3)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (np.ones((4, 4, 4)), "odd cube"),
        (np.ones((5, 5, 3)), "odd cube"),
        (np.zeros((5, 5, 5)), "mass"),
        (np.full((5, 5, 5), np.nan), "finite"),
    ],
)
def test_density_refuses_grids_it_cannot_pose(grid: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Density("bad", grid.astype(np.float32), 10.0)


def test_maps_without_density_are_refused() -> None:
    empty = np.zeros((5, 5, 5), np.float32)
    with pytest.raises(ValueError, match="above 0"):
        normalize_bulk(empty)
    with pytest.raises(ValueError, match="above 0"):
        resample(empty, (1.0, 1.0, 1.0), 2.0)

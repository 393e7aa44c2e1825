import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryo_pick.simulate.blobs import blobs, centering_error, ellipsoid, path, render, symmetrize


@pytest.mark.parametrize(("group", "order"), [("C2", 2), ("D2", 4), ("O", 24), ("I", 60)])
def test_symmetrize_makes_one_copy_per_rotation(group: str, order: int) -> None:
    copies = symmetrize(blobs([(10, 20, 35)], 5.0), group).centers
    assert len(copies) == order
    assert len(np.unique(copies.round(6), axis=0)) == order
    np.testing.assert_allclose(np.linalg.norm(copies, axis=1), np.linalg.norm((10, 20, 35)))
    for rotation in Rotation.create_group(group):
        moved = rotation.apply(copies)
        distance = np.linalg.norm(moved[:, None] - copies[None], axis=2).min(axis=1)
        np.testing.assert_allclose(distance, 0, atol=1e-9)


def test_ellipsoid_is_filled_evenly_inside_its_surface() -> None:
    axes, center = np.array([30.0, 60.0, 90.0]), np.array([5.0, -7.0, 0.0])
    points = ellipsoid(400, axes, center)
    assert points.shape == (400, 3)
    scaled = (points - center) / axes
    assert np.linalg.norm(scaled, axis=1).max() <= 1
    # A uniform ball has a mean of 0 and a variance of 1/5 along each axis.
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose((scaled**2).mean(axis=0), 0.2, atol=0.02)


def test_path_spaces_points_along_corners() -> None:
    points = path([(0, 0, 0), (0, 30, 0), (0, 30, 40)], 10.0)
    np.testing.assert_allclose(points[[0, -1]], [(0, 0, 0), (0, 30, 40)])
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() <= 10


@pytest.mark.parametrize("voxel_spacing", [5.0, 10.012, 16.0])
def test_render_has_its_centre_of_mass_in_the_middle(voxel_spacing: float) -> None:
    shape = blobs([(40, 10, -20), (80, 35, 0), (10, 0, 60)], 14.0, [1.0, 2.0, 0.5])
    density = render("three", shape, voxel_spacing)
    assert density.voxel_spacing == voxel_spacing
    # 3 sigma of each blob is on the grid.
    assert centering_error(density) < 0.02


def test_render_keeps_the_width_of_a_blob() -> None:
    density = render("one", blobs([(0, 0, 0)], 20.0), 10.0)
    axis = np.arange(len(density.grid)) - len(density.grid) // 2
    profile = density.grid.sum(axis=(1, 2), dtype=np.float64)
    sigma = 10.0 * np.sqrt((profile * axis**2).sum() / profile.sum())
    # The voxel's own width adds in quadrature; the grid ends at 3 sigma.
    assert sigma == pytest.approx(np.sqrt(20.0**2 + 10.0**2 / 12), rel=0.02)

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryo_pick.objects import CZII_TYPES
from cryo_pick.simulate.blobs import centering_error
from cryo_pick.simulate.density import Density
from cryo_pick.simulate.particles import CLASSES, DISTRACTORS, built_in_density

SPACING = 10.0
GROUPS = {
    "apo-ferritin": "O",
    "beta-amylase": "D2",
    "beta-galactosidase": "D2",
    "virus-like-particle": "I",
}
ALL = [*CLASSES, *DISTRACTORS]
DENSITIES = {name: built_in_density(name, SPACING) for name in ALL}
# Share of the density's norm that cubic interpolation on a 10 Å grid may change.
INTERPOLATION_ERROR = 0.03


def change(density: Density, rotation: np.ndarray) -> float:
    still = density.pose(np.eye(3), np.zeros(3))
    moved = density.pose(rotation, np.zeros(3))
    return float(np.linalg.norm(moved - still) / np.linalg.norm(still))


def radial_profile(density: Density) -> np.ndarray:
    z, y, x = np.indices(density.grid.shape) - len(density.grid) // 2
    shells = np.sqrt(z**2 + y**2 + x**2).round().astype(int).ravel()
    return np.bincount(shells, density.grid.ravel()) / np.bincount(shells)


def principal_lengths(density: Density) -> np.ndarray:
    """Standard deviations of the mass along its principal axes, Å, rising."""
    points = (np.indices(density.grid.shape).reshape(3, -1) - len(density.grid) // 2) * SPACING
    return np.sqrt(np.linalg.eigvalsh(np.cov(points, aweights=density.grid.ravel())))


def test_there_is_one_molecule_per_class() -> None:
    assert tuple(CLASSES) == CZII_TYPES.names
    assert len(DISTRACTORS) >= 4


@pytest.mark.parametrize(("name", "group"), GROUPS.items())
def test_symmetry_leaves_the_density_unchanged(name: str, group: str) -> None:
    rotations = Rotation.create_group(group).as_matrix()[::5][:12]
    for rotation in rotations:
        assert change(DENSITIES[name], rotation) < INTERPOLATION_ERROR


def test_thyroglobulin_has_one_twofold_axis_along_z() -> None:
    turns = {axis: Rotation.from_rotvec(np.pi * np.eye(3)[axis]).as_matrix() for axis in range(3)}
    assert change(DENSITIES["thyroglobulin"], turns[0]) < INTERPOLATION_ERROR
    assert change(DENSITIES["thyroglobulin"], turns[1]) > 0.2
    assert change(DENSITIES["thyroglobulin"], turns[2]) > 0.2


@pytest.mark.parametrize("name", ["ribosome", "beta-galactosidase", "thyroglobulin", "horseshoe"])
def test_a_rotation_outside_the_group_changes_the_density(name: str) -> None:
    rotation = Rotation.from_rotvec([0.4, 0.9, -0.7]).as_matrix()
    assert change(DENSITIES[name], rotation) > 0.15


@pytest.mark.parametrize("name", ALL)
def test_bulk_is_1_and_the_centre_is_in_the_middle(name: str) -> None:
    density = DENSITIES[name]
    grid = density.grid
    assert grid.min() >= 0
    assert np.quantile(grid[grid > 0.1 * grid.max()], 0.9) == pytest.approx(1, rel=1e-3)
    assert centering_error(density) < 0.02


@pytest.mark.parametrize(("name", "outer"), [("apo-ferritin", 60), ("virus-like-particle", 135)])
def test_shells_are_hollow_and_as_large_as_the_molecule(name: str, outer: float) -> None:
    profile = radial_profile(DENSITIES[name])
    assert profile[0] < 0.05
    wall = profile.argmax() * SPACING
    assert outer - 20 <= wall < outer
    half = np.flatnonzero(profile > profile.max() / 2).max() * SPACING
    assert half == pytest.approx(outer, abs=15)


def test_sizes_and_shapes() -> None:
    lengths = {name: principal_lengths(DENSITIES[name]) for name in CLASSES}
    mass = {name: float(DENSITIES[name].grid.sum()) * SPACING**3 for name in CLASSES}
    for tetramer in ("beta-amylase", "beta-galactosidase"):
        assert lengths[tetramer][2] > 1.5 * lengths[tetramer][0]
    assert lengths["thyroglobulin"][2] > 2 * lengths["thyroglobulin"][1]
    assert lengths["ribosome"][2] > 1.3 * lengths["ribosome"][0]
    assert 230 <= 2 * DENSITIES["thyroglobulin"].extent <= 250
    assert 250 <= 2 * DENSITIES["ribosome"].extent <= 310
    order = ["beta-amylase", "beta-galactosidase", "thyroglobulin", "ribosome"]
    assert sorted(order, key=mass.__getitem__) == order
    for kind in CZII_TYPES:
        assert DENSITIES[kind.name].extent == pytest.approx(kind.radius, rel=0.3)


def test_the_ribosome_has_two_unequal_lobes() -> None:
    profile = DENSITIES["ribosome"].grid.sum(axis=(1, 2))
    peaks = np.flatnonzero((profile[1:-1] > profile[:-2]) & (profile[1:-1] > profile[2:])) + 1
    assert len(peaks) == 2
    valley = peaks[0] + profile[peaks[0] : peaks[1]].argmin()
    lobes = sorted((profile[:valley].sum(), profile[valley:].sum()))
    assert 2 < lobes[1] / lobes[0] < 5


def test_an_unknown_molecule_is_refused() -> None:
    with pytest.raises(ValueError, match="apo-ferritin"):
        built_in_density("no-such-molecule", SPACING)

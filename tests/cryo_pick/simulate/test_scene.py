import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.simulate.density import center_of_mass
from cryo_pick.simulate.library import Library, assemble_library, built_in_library
from cryo_pick.simulate.particles import CLASSES, built_in_density
from cryo_pick.simulate.scene import (
    CZII_EXTENT,
    GOLD_RADIUS,
    add_molecule,
    add_vesicle,
    build_scene,
    draw_copies,
    gold_bead,
)

SPACING = 10.012
EXACT = 0.05  # voxels, what the truth promises


def library_of(name: str) -> Library:
    kind = CZII_TYPES[CZII_TYPES.index(name)]
    return assemble_library(ParticleTypes((kind,)), [built_in_density(name, SPACING)], [])


@pytest.mark.parametrize("name", CLASSES)
def test_a_molecule_lies_where_it_was_put(name: str) -> None:
    rng = np.random.default_rng(3)
    density = built_in_density(name, SPACING)
    for rotation in Rotation.from_quat(rng.standard_normal((3, 4))).as_matrix():
        volume = np.zeros((56, 56, 56), np.float32)
        index = rng.uniform(26, 29, 3)
        add_molecule(volume, density, index, rotation)
        np.testing.assert_allclose(center_of_mass(volume), index, atol=EXACT)
        # Negative lobes of the splines and rotated corners of the grid are all that may differ.
        assert float(volume.sum()) == pytest.approx(float(density.grid.sum()), rel=0.03)


def test_a_molecule_over_the_border_is_cropped_and_one_outside_changes_nothing() -> None:
    density = built_in_density("apo-ferritin", SPACING)
    whole = np.zeros((48, 48, 48), np.float32)
    add_molecule(whole, density, np.array([24.3, 24.0, 10.2]), np.eye(3))
    part = np.zeros((48, 48, 38), np.float32)
    add_molecule(part, density, np.array([24.3, 24.0, 0.2]), np.eye(3))
    np.testing.assert_allclose(part, whole[:, :, 10:], atol=1e-5)
    empty = np.zeros((16, 16, 16), np.float32)
    add_molecule(empty, density, np.array([8.0, 8.0, 60.0]), np.eye(3))
    assert not empty.any()


def test_a_vesicle_is_two_leaflets_around_its_radius() -> None:
    volume = np.zeros((61, 61, 61), np.float32)
    add_vesicle(volume, np.array([300.0, 300.0, 300.0]), 200.0, 10.0)
    along_x = volume[30, 30, 30:]
    np.testing.assert_allclose(along_x[[18, 22]], 0.8, atol=0.05)
    assert along_x[20] < 0.2
    assert along_x[:12].max() < 1e-3


def test_gold_has_its_size_and_is_far_denser_than_protein() -> None:
    bead = gold_bead(5.0)
    volume = float(bead.grid.sum()) * 5.0**3 / bead.grid.max()
    assert volume == pytest.approx(4 / 3 * np.pi * GOLD_RADIUS**3, rel=0.05)
    assert bead.grid.max() >= 5


def test_truth_is_the_centre_of_every_molecule_in_the_scene() -> None:
    scene = build_scene(library_of("apo-ferritin"), (48, 128, 128), 60.0, np.random.default_rng(5))
    indices = scene.picks.positions / SPACING
    spheres, n = ndimage.label(ndimage.binary_closing(scene.density > 0.05, iterations=3))
    centers = np.array(ndimage.center_of_mass(scene.density, spheres, range(1, n + 1)))
    mass = ndimage.sum(scene.density, spheres, range(1, n + 1))
    whole = np.abs(mass / np.median(mass) - 1) < 0.01  # neither cropped nor joined to a neighbour
    assert whole.sum() >= 5
    for center in centers[whole]:
        nearest = np.linalg.norm(indices - center, axis=1).argmin()
        np.testing.assert_allclose(indices[nearest], center, atol=EXACT)


def test_picks_hold_labelled_classes_only_and_each_at_least_once() -> None:
    scene = build_scene(built_in_library(20.0), (48, 96, 96), 3.0, np.random.default_rng(0))
    assert set(scene.picks.classes) == set(range(6))
    assert scene.n_dropped == 0
    assert scene.density.max() > 0.9
    limits = (np.array(scene.density.shape) - 1) * 20.0
    assert (scene.picks.positions >= 0).all()
    assert (scene.picks.positions <= limits).all()


def test_counts_of_a_full_run_are_those_of_the_challenge() -> None:
    library = built_in_library(20.0)
    wanted = draw_copies(library, 1.0, 1.0, np.random.default_rng(2))
    for species in library.species:
        low, high = species.copies
        assert low <= sum(w is species for w in wanted) <= high
    crowded = draw_copies(library, 1.0, 3.0, np.random.default_rng(2))
    assert len(crowded) > 2.5 * len(wanted)
    np.testing.assert_allclose(CZII_EXTENT, np.array((184, 630, 630)) * SPACING, rtol=1e-3)


def test_orientations_are_uniform() -> None:
    # The rotated x axis of many uniform rotations has a mean of 0 and a variance of 1/3.
    rng = np.random.default_rng(0)
    axes = Rotation.from_quat(rng.standard_normal((4000, 4))).apply([0, 0, 1])
    np.testing.assert_allclose(axes.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose((axes**2).mean(axis=0), 1 / 3, atol=0.02)

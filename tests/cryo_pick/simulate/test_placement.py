import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.simulate.placement import (
    MEMBRANE_HALF_WIDTH,
    Box,
    Vesicles,
    place_spheres,
    place_vesicles,
)

NO_VESICLES = Vesicles(np.empty((0, 3)), np.empty(0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 60), n_vesicles=st.integers(0, 3))
def test_nothing_overlaps_and_everything_is_in_the_ice(seed: int, n: int, n_vesicles: int) -> None:
    rng = np.random.default_rng(seed)
    box = Box((1000.0, 2000.0, 2500.0), 800.0)
    vesicles = place_vesicles(n_vesicles, box, rng)
    radii = rng.uniform(60, 150, n)
    centers = place_spheres(radii, box, vesicles, rng)
    placed = np.isfinite(centers).all(axis=1)
    assert np.isnan(centers[~placed]).all()
    inside, r = centers[placed], radii[placed]
    for i in range(len(inside)):
        for j in range(i):
            assert np.linalg.norm(inside[i] - inside[j]) >= r[i] + r[j]
        for center, radius in zip(vesicles.centers, vesicles.radii, strict=True):
            gap = abs(np.linalg.norm(inside[i] - center) - radius)
            assert gap >= r[i] + MEMBRANE_HALF_WIDTH
    assert (np.abs(inside[:, 0] - 500) + r <= 400 + 1e-9).all()
    assert (inside[:, 1:] >= 0).all()
    assert (inside[:, 1:] <= (2000, 2500)).all()
    assert (np.abs(vesicles.centers[:, 0] - 500) + vesicles.radii <= 400).all()


def test_a_full_box_leaves_the_rest_out() -> None:
    box = Box((300.0, 600.0, 600.0), 300.0)
    centers = place_spheres(np.full(200, 100.0), box, NO_VESICLES, np.random.default_rng(0))
    placed = int(np.isfinite(centers[:, 0]).sum())
    # 8 fit on a square lattice of centres; at random fewer may, and some always do.
    assert 3 <= placed <= 20


def test_thin_ice_holds_no_vesicle() -> None:
    vesicles = place_vesicles(5, Box((300.0, 3000.0, 3000.0), 250.0), np.random.default_rng(0))
    assert vesicles.centers.shape == (0, 3)


def test_a_molecule_thicker_than_the_ice_lies_in_its_middle() -> None:
    box = Box((200.0, 900.0, 900.0), 150.0)
    centers = place_spheres(np.array([140.0]), box, NO_VESICLES, np.random.default_rng(1))
    assert centers[0, 0] == 100.0

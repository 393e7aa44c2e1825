"""Built-in molecules: the six CZII classes and look-alikes, with their true size and symmetry.

Each is a handful of Gaussian blobs under its point group. Sizes follow the molecules: outer
diameter of ferritin 120 Å, of the capsid 290 Å, of a ribosome 250 to 300 Å; the long axis of
thyroglobulin 235 Å, of beta-galactosidase 180 Å, of beta-amylase 130 Å.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cryo_pick.simulate.blobs import Blobs, blobs, ellipsoid, path, render, symmetrize
from cryo_pick.simulate.density import Density

# Directions whose orbits under O and I are spread most evenly over the sphere.
_FERRITIN_DIRECTION = np.array([(-0.46232, 0.85034, 0.25136)])
_CAPSID_DIRECTIONS = np.array(
    [
        (0.48675, -0.06677, -0.87099),
        (0.60014, -0.77209, 0.20908),
        (0.29409, 0.73117, 0.61555),
    ]
)


def apo_ferritin() -> Blobs:
    """Hollow octahedral shell of 24 subunits."""
    return symmetrize(blobs(50.0 * _FERRITIN_DIRECTION, 11.0), "O")


def beta_amylase() -> Blobs:
    """D2 tetramer, the smaller and rounder one."""
    unit = [(13, 8, 9), (-8, 18, 26), (14, 14, 33), (2, -9, 42), (-14, 4, 22)]
    return symmetrize(blobs(unit, 13.5), "D2")


def beta_galactosidase() -> Blobs:
    """D2 tetramer, flat and elongated."""
    unit = [(14, 14, 14), (-10, 36, 16), (12, 22, 42), (-12, 14, 56), (10, 46, 34), (-16, 30, 40)]
    return symmetrize(blobs(unit, 14.0), "D2")


def ribosome() -> Blobs:
    """Two unequal lobes, of RNA that is uneven in density, with two stalks and a beak."""
    large = ellipsoid(260, (94, 104, 100))
    small = ellipsoid(90, (44, 106, 52), (122, 8, -6))
    lobes = np.concatenate([large, small])
    # Deterministic and without symmetry; 40 Å waves make grooves of the size of rRNA domains.
    waves = np.sin(
        lobes @ np.array([(0.11, 0.05, -0.09), (-0.06, 0.13, 0.07), (0.04, -0.08, 0.14)])
    )
    stalks = path([(20, 105, 30), (45, 142, 45)], 14).tolist()
    stalks += path([(25, -100, 40), (55, -138, 60)], 14).tolist()
    beak = path([(130, 95, 20), (120, 128, 40)], 14)
    return blobs(lobes, 13.0, 1 + 0.2 * waves.sum(axis=1)) + blobs([*stalks, *beak], 13.0)


def thyroglobulin() -> Blobs:
    """Elongated C2 dimer."""
    spine = [(0, 12, 12), (14, 22, 34), (-2, 2, 54), (-8, -8, 76), (6, 2, 103), (12, -14, 90)]
    arms = [(30, 38, 18), (-28, 34, 38), (26, -30, 58), (-20, 26, 72), (36, 4, 42), (-32, -16, 24)]
    # The two-fold axis is z here; create_group puts it on x.
    unit = np.array(spine + arms)[:, [2, 1, 0]]
    dimer = symmetrize(blobs(unit, 15.0), "C2")
    return Blobs(dimer.centers[:, ::-1], dimer.sigmas, dimer.amplitudes)


def virus_like_particle() -> Blobs:
    """Hollow icosahedral capsid of 180 subunits (T = 3)."""
    return symmetrize(blobs(131.0 * _CAPSID_DIRECTIONS, 10.5), "I")


def barrel() -> Blobs:
    """Look-alike: four stacked rings of seven subunits, 150 Å long, as a proteasome core."""
    ring = blobs([(0, 40, x) for x in (-58, -20, 20, 58)], 12.0)
    return symmetrize(ring, "C7")


def ring() -> Blobs:
    """Look-alike: two stacked hexameric rings, as a AAA chaperone."""
    return symmetrize(blobs([(0, 48, -16), (12, 44, 18)], 13.0), "C6")


def rod() -> Blobs:
    """Look-alike: a bent stick 240 Å long."""
    points = path([(0, 0, -110), (0, 14, 0), (8, 0, 110)], 12)
    return blobs(points, 13.0) + blobs([(14, 16, -20), (-12, 20, 30), (6, -8, 104)], 14.0)


def horseshoe() -> Blobs:
    """Look-alike: an open arc of one chain."""
    angles = np.linspace(-2.2, 2.2, 12)
    arc = np.stack([8 * np.sin(2 * angles), 46 * np.sin(angles), 62 * np.cos(angles)], axis=1)
    return blobs(arc, 13.0)


def cage() -> Blobs:
    """Look-alike: a D3 barrel 260 Å long with two chambers, as fatty acid synthase."""
    wall = [(0, 88, 14), (50, 70, 40), (-40, 78, 58), (10, 66, 86), (24, 40, 104), (0, 46, 6)]
    more = [(70, 48, 12), (-66, 52, 30), (-24, 44, 98), (45, 56, 70)]
    return symmetrize(blobs(wall + more, 17.0), "D3")


CLASSES: dict[str, Callable[[], Blobs]] = {
    "apo-ferritin": apo_ferritin,
    "beta-amylase": beta_amylase,
    "beta-galactosidase": beta_galactosidase,
    "ribosome": ribosome,
    "thyroglobulin": thyroglobulin,
    "virus-like-particle": virus_like_particle,
}
"""Builders of the labelled molecules, by the object name of the CZII challenge."""

DISTRACTORS: dict[str, Callable[[], Blobs]] = {
    "barrel": barrel,
    "ring": ring,
    "rod": rod,
    "horseshoe": horseshoe,
    "cage": cage,
}
"""Builders of what lies in the ice without a label."""


def built_in_density(name: str, voxel_spacing: float) -> Density:
    """Density of a built-in molecule.

    Raises
    ------
    ValueError
        If no molecule has that name.
    """
    builder = (CLASSES | DISTRACTORS).get(name)
    if builder is None:
        known: Sequence[str] = [*CLASSES, *DISTRACTORS]
        raise ValueError(
            f"Expected argument `name` to be one of {', '.join(known)}, but got {name!r}."
        )
    return render(name, builder(), voxel_spacing)

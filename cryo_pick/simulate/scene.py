"""A slab of ice with molecules, look-alikes, vesicles and gold, before any microscope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.picks import Picks
from cryo_pick.simulate.density import Density, Volume
from cryo_pick.simulate.library import Library, Species
from cryo_pick.simulate.placement import Box, Vesicles, place_spheres, place_vesicles

# Ångström of a CZII run (184 x 630 x 630 voxels), to which every count refers.
CZII_EXTENT = (1842.0, 6308.0, 6308.0)
ICE_SHARE = (0.75, 0.95)
ICE_MARGIN = 40.0
MEAN_VESICLES = 4.0
MEAN_GOLD_BEADS = 2.0
LEAFLET_OFFSET = 19.0
LEAFLET_SIGMA = 8.0
LEAFLET_DENSITY = 0.8
GOLD_RADIUS = 50.0
GOLD_DENSITY = 6.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Clean density and its truth.

    Attributes
    ----------
    density : (d, h, w) float32 array, zyx
        Protein 1, ice 0.
    picks
        Of the labelled classes: where their centres are.
    n_dropped
        Molecules of any kind for which no free place was found.
    """

    density: Volume
    picks: Picks
    n_dropped: int


def gold_bead(voxel_spacing: float) -> Density:
    """Gold fiducial of 10 nm diameter, its edge soft over one voxel."""
    half = int(np.ceil(GOLD_RADIUS / voxel_spacing)) + 1
    z, y, x = np.ogrid[-half : half + 1, -half : half + 1, -half : half + 1]
    inside = GOLD_RADIUS / voxel_spacing - np.sqrt(z**2 + y**2 + x**2)
    grid = GOLD_DENSITY * np.clip(inside + 0.5, 0, 1)
    return Density("gold", grid.astype(np.float32), voxel_spacing)


def draw_copies(
    library: Library, fill: float, crowding: float, rng: np.random.Generator
) -> list[Species]:
    """One entry per molecule wanted in the ice; at least one of every labelled class.

    Parameters
    ----------
    fill
        Size of the volume as a share of a CZII run.
    crowding
        Factor on every count.
    """
    wanted: list[Species] = []
    for species in library.species:
        low, high = species.copies
        n = round(float(rng.integers(low, high + 1)) * fill * crowding)
        wanted += [species] * (n if species.class_index is None else max(1, n))
    gold = Species(gold_bead(library.voxel_spacing), (0, 0))
    return wanted + [gold] * int(rng.poisson(MEAN_GOLD_BEADS * fill))


def add_molecule(
    volume: Volume, density: Density, index: NDArray[np.float64], rotation: NDArray[np.float64]
) -> None:
    """Add a rotated molecule to `volume` in place, cropped at its borders.

    Parameters
    ----------
    volume : (d, h, w) float32 array, zyx
    index : (3,) array, voxels, zyx
        Where the centre lies, as a fraction of a voxel too.
    rotation : (3, 3) array
        Acts on z y x vectors.
    """
    middle = np.round(index).astype(int)
    patch = density.pose(rotation, index - middle)
    low = middle - patch.shape[0] // 2
    high = low + patch.shape[0]
    start, stop = np.maximum(low, 0), np.minimum(high, volume.shape)
    if (start >= stop).any():
        return
    target = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    source = tuple(slice(a, b) for a, b in zip(start - low, stop - low, strict=True))
    volume[target] += patch[source]


def add_vesicle(
    volume: Volume, center: NDArray[np.float64], radius: float, voxel_spacing: float
) -> None:
    """Add a lipid bilayer shell to `volume` in place; `center` (Å, zyx) and `radius` in Å."""
    reach = radius + LEAFLET_OFFSET + 4 * LEAFLET_SIGMA
    low = np.maximum(np.floor((center - reach) / voxel_spacing).astype(int), 0)
    high = np.minimum(np.ceil((center + reach) / voxel_spacing).astype(int) + 1, volume.shape)
    if (low >= high).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    z, y, x = (
        (axis * voxel_spacing - c) ** 2 for axis, c in zip(np.ogrid[box], center, strict=True)
    )
    depth = np.sqrt((z + y + x).astype(np.float32)) - np.float32(radius)
    for leaflet in (-LEAFLET_OFFSET, LEAFLET_OFFSET):
        volume[box] += LEAFLET_DENSITY * np.exp(-0.5 * ((depth - leaflet) / LEAFLET_SIGMA) ** 2)


def build_scene(
    library: Library, shape: tuple[int, int, int], crowding: float, rng: np.random.Generator
) -> Scene:
    """Fill a slab of ice at random: no two things overlap, and orientations are uniform.

    Parameters
    ----------
    shape : voxels, zyx
    crowding
        1 is as full as a CZII run.
    """
    spacing = library.voxel_spacing
    size = np.array(shape) * spacing
    fill = float(size[1] * size[2] / (CZII_EXTENT[1] * CZII_EXTENT[2]))
    fill *= min(1.0, float(size[0]) / CZII_EXTENT[0])
    thickness = float(size[0] * rng.uniform(*ICE_SHARE))
    z, y, x = ((n - 1) * spacing for n in shape)
    box = Box((z, y, x), min(thickness, size[0] - 2 * ICE_MARGIN))

    wanted = draw_copies(library, fill, crowding, rng)
    vesicles: Vesicles = place_vesicles(int(rng.poisson(MEAN_VESICLES * fill)), box, rng)
    centers = place_spheres(np.array([s.density.extent for s in wanted]), box, vesicles, rng)
    placed = np.isfinite(centers[:, 0])
    # Normalised Gaussian quaternions are uniform rotations.
    rotations = Rotation.from_quat(rng.standard_normal((len(wanted), 4))).as_matrix()

    volume = np.zeros(shape, np.float32)
    for center, radius in zip(vesicles.centers, vesicles.radii, strict=True):
        add_vesicle(volume, center, float(radius), spacing)
    indices = angstrom_to_index(centers, (spacing,) * 3)
    for i in np.flatnonzero(placed):
        add_molecule(volume, wanted[i].density, indices[i], rotations[i])

    classes = np.array([-1 if s.class_index is None else s.class_index for s in wanted])
    labelled = placed & (classes >= 0)
    picks = Picks(centers[labelled], classes[labelled])
    return Scene(volume, picks, int((~placed).sum()))

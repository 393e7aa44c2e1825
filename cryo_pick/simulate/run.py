"""One simulated run: scene, tilt series, reconstructions and truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.simulate.density import Volume
from cryo_pick.simulate.library import Library, built_in_library
from cryo_pick.simulate.microscope import Microscope
from cryo_pick.simulate.reconstruct import denoise, reconstruct, z_score
from cryo_pick.simulate.scene import build_scene
from cryo_pick.simulate.tilt_series import project, ray_matrix, record, tilt_angles

# CZII's rounded spacing. Only a simulation has a default: it makes its data, all else reads it.
DEFAULT_VOXEL_SPACING = 10.012
TOMO_TYPES = ("denoised", "wbp")
SMALLEST_AXIS = 16


@dataclass(frozen=True)
class SimulateSettings:
    """What all runs of a simulation share."""

    voxel_spacing: float = DEFAULT_VOXEL_SPACING
    """Å, of the volumes that are made."""
    noise: float = 1.0
    """1 is CZII-like, 0.5 easy, 2 hard, 0 none."""
    crowding: float = 1.0
    """Factor on every count; 1 is as full as a CZII run."""
    tilt_max: float = 45.0
    """Degrees; the largest tilt."""
    tilt_step: float = 3.0
    """Degrees between tilts."""
    tomo_types: tuple[str, ...] = ("denoised",)
    """Reconstructions to keep: denoised, wbp."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        ValueError
            If a field has a value that can't be simulated.
        """
        for name, low in (("noise", 0.0), ("crowding", 0.0), ("voxel_spacing", 0.5)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= low):
                raise ValueError(
                    f"Expected argument `{name}` to be {low} or more, but got {value}."
                )
        tilt_angles(self.tilt_max, self.tilt_step)
        unknown = [t for t in self.tomo_types if t not in TOMO_TYPES]
        if unknown or not self.tomo_types:
            raise ValueError(
                f"Expected argument `tomo_types` to be of {', '.join(TOMO_TYPES)}, "
                f"but got {', '.join(unknown) or 'none'}."
            )


@dataclass(frozen=True, eq=False)
class SimulatedRun:
    """A run and its exact truth.

    Attributes
    ----------
    volumes
        By tomo_type: (d, h, w) float32 arrays, zyx, mean 0, standard deviation 1, particles dark.
    picks
        Centres of every labelled molecule, Å, zyx; voxel (0, 0, 0) is centred at 0.
    types
    voxel_spacing : Å
    n_dropped
        Molecules for which the ice had no room left.
    """

    volumes: dict[str, Volume]
    picks: Picks
    types: ParticleTypes
    voxel_spacing: float
    n_dropped: int


def simulate_run(
    seed: int,
    shape: tuple[int, int, int],
    settings: SimulateSettings | None = None,
    library: Library | None = None,
) -> SimulatedRun:
    """Simulate one run. The same arguments make the same run, in any order and process.

    Parameters
    ----------
    seed
        Of everything that is random in this run.
    shape : voxels, zyx
    settings
        None takes the defaults.
    library
        The molecules; None takes the built-in ones.

    Raises
    ------
    ValueError
        If an axis is shorter than 16 voxels or the library has another voxel spacing.
    """
    settings = settings or SimulateSettings()
    if len(shape) != 3 or min(shape) < SMALLEST_AXIS:
        raise ValueError(
            f"Expected argument `shape` to be 3 numbers of {SMALLEST_AXIS} or more, "
            f"but got {shape}."
        )
    library = library or built_in_library(settings.voxel_spacing)
    if library.voxel_spacing != settings.voxel_spacing:
        raise ValueError(
            f"Expected a library at {settings.voxel_spacing} Å, but got {library.voxel_spacing} Å."
        )
    rng = np.random.default_rng(seed)
    scene = build_scene(library, shape, settings.crowding, rng)
    angles = tilt_angles(settings.tilt_max, settings.tilt_step)
    rays = ray_matrix(shape[0], shape[2], angles)
    series = record(
        project(scene.density, rays),
        angles,
        settings.voxel_spacing,
        settings.noise,
        Microscope(),
        rng,
    )
    wbp = z_score(reconstruct(series, rays))
    volumes = {t: wbp if t == "wbp" else denoise(wbp) for t in settings.tomo_types}
    return SimulatedRun(
        volumes, scene.picks, library.types, settings.voxel_spacing, scene.n_dropped
    )

"""Warp and M: particles in voxels of the picked tomogram, 0 being the first voxel's centre."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.errors import ConfigError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.records import Records
from cryo_pick.formats.star import read_star_records
from cryo_pick.formats.star_particles import particles_block
from cryo_pick.formats.star_rows import COORDINATES, PIXEL_COLUMNS, RUN_COLUMNS
from cryo_pick.objects import ParticleTypes


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the file `out`.

    Raises
    ------
    ConfigError
        If the tomograms have several voxel spacings: WarpTools is told one for the whole file.
    """
    spacings = {s for run, grid in grids.items() for s in grid.spacing(run)}
    if len(spacings) > 1:
        listed = ", ".join(f"{s:g}" for s in sorted(spacings))
        raise ConfigError(
            f"WarpTools takes one voxel spacing per file, but there are {listed} Å; export the "
            "runs of each by themselves, with data.runs=[...]"
        )
    spacing = repr(next(iter(spacings), 1.0))
    comment = (
        "# Picks of cryo-pick for WarpTools ts_export_particles and M.\n"
        f"# Voxels of the picked tomogram, 0 is the first one's centre: --coords_angpix {spacing}\n"
    )
    more = {RUN_COLUMNS[1]: lambda run: f"{run}.tomostar", PIXEL_COLUMNS[0]: lambda run: spacing}
    block = particles_block(records, grids, COORDINATES, numbers, more)
    write_text_atomic(out, f"{comment}\n{block}")
    return [out]


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Voxel indices of the picked tomogram, zyx."""
    return angstrom_to_index(positions, grid.spacing(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read a particles file; its own pixel size goes before the tomogram's spacing.

    Raises
    ------
    InputError
        If the file is missing or broken, or the voxel spacing is not known.
    """
    return read_star_records(path, types, grid_of, single, Grid.spacing)

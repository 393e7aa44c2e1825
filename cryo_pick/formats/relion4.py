"""RELION 4: particles in voxels of the unbinned tomogram, 0 being the first voxel's centre."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.records import Records
from cryo_pick.formats.star import read_star_records
from cryo_pick.formats.star_particles import optics_groups, particles_block
from cryo_pick.formats.star_rows import COORDINATES, GROUP_COLUMN, RUN_COLUMNS
from cryo_pick.objects import ParticleTypes

_COMMENT = """\
# Picks of cryo-pick for RELION 4.
# rlnCoordinate is in voxels of rlnTomoTiltSeriesPixelSize Angstrom; 0 is the first voxel's centre.

"""


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the file `out`."""
    optics, groups = optics_groups(grids)
    block = particles_block(
        records,
        grids,
        COORDINATES,
        numbers,
        {RUN_COLUMNS[0]: str, GROUP_COLUMN: lambda run: groups[run]},
    )
    write_text_atomic(out, "\n".join([_COMMENT + optics, block]))
    return [out]


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Coordinates in unbinned voxels, zyx."""
    return angstrom_to_index(positions, grid.pixel(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read a particles file; its own pixel size goes before the grid's.

    Raises
    ------
    InputError
        If the file is missing or broken, or the pixel size is not known.
    """
    return read_star_records(path, types, grid_of, single)

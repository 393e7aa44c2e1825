"""Picks as a RELION STAR file: ``data_particles`` with coordinates in voxels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector, angstrom_to_index
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import PicksTable, parse_number, read_text
from cryo_pick.formats.records import Records, RunPicks
from cryo_pick.formats.star_particles import particles_block, single_pixel
from cryo_pick.formats.star_rows import (
    COORDINATES,
    KNOWN,
    ORIGINS,
    PIXEL_COLUMNS,
    RUN_COLUMNS,
    SCORE_COLUMN,
    RowReader,
    find_particles,
)
from cryo_pick.formats.star_text import parse_star
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

_COMMENT = """\
# Picks of cryo-pick.
# rlnCoordinateX/Y/Z are in voxels of rlnTomoTiltSeriesPixelSize Angstrom; 0 is the centre of the
# first voxel. Position in Angstrom = coordinate * pixel size, plus cryoPickOrigin where given.
# rlnObjectName is the class, rlnAutopickFigureOfMerit the score from 0 to 1.

"""


def write_star(
    path: str | Path,
    picks_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    voxel_spacing: float | Mapping[str, float],
    origin: Vector | Mapping[str, Vector] = (0.0, 0.0, 0.0),
) -> None:
    """Write picks of all runs; coordinates to 0.000001 voxel, scores to 6 decimals.

    Parameters
    ----------
    voxel_spacing
        Å per voxel, for all runs or by run; the coordinates' unit.
    origin : Å, zyx
        Of the tomograms, for all runs or by run; kept in columns of its own unless it is 0.

    Raises
    ------
    ValueError
        If a class is none of `types`, a spacing isn't above 0, or a run name can't be written.
    """
    grids = {}
    for run, picks in picks_by_run.items():
        types.check_classes(picks.classes)
        pixel = float(voxel_spacing[run] if isinstance(voxel_spacing, Mapping) else voxel_spacing)
        if not 0 < pixel < 1e6:
            raise ValueError(f"Expected the spacing of {run} to be above 0 Å, but got {pixel}.")
        own_origin = origin[run] if isinstance(origin, Mapping) else origin
        grids[run] = Grid(voxel_spacing=(pixel,) * 3, origin=own_origin)
    records = Records(types.names, {run: RunPicks(p) for run, p in picks_by_run.items()})
    write(Path(path), records, types, grids)


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the file `out`, as :func:`write_star` does, with further columns."""
    pixels = {
        run: single_pixel(Grid(voxel_spacing=grid.spacing(run)), run) for run, grid in grids.items()
    }
    more: dict[str, Callable[[str], str]] = {
        RUN_COLUMNS[0]: str,
        PIXEL_COLUMNS[0]: lambda run: repr(pixels[run]),
    }
    if any(any(grid.origin) for grid in grids.values()):
        for label, axis in zip(ORIGINS, (2, 1, 0), strict=True):
            more[label] = lambda run, axis=axis: repr(float(grids[run].origin[axis]))  # type: ignore[misc]
    write_text_atomic(out, _COMMENT + particles_block(records, grids, COORDINATES, numbers, more))
    return [out]


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Voxel indices, zyx."""
    return angstrom_to_index(positions, grid.spacing(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read the file; what it says of pixel size, size and origin goes before the grid's."""
    return read_star_records(path, types, grid_of, single)


def read_star(path: str | Path, types: ParticleTypes) -> dict[str, Picks]:
    """Picks by run, without further columns; see :func:`read_star_records`."""
    return read_star_records(path, types).picks()


def read_star_records(
    path: str | Path,
    types: ParticleTypes | None,
    grid_of: GridOf | None = None,
    single: str | None = None,
    pixel_of: Callable[[Grid, str], Vector] = Grid.pixel,
) -> Records:
    """Read picks by run.

    The first block with coordinates counts. Pixel size and tomogram size may also stand in another
    block, by tomogram, by optics group or for all. Shifts (``rlnOriginXAngst``) are applied;
    columns that have no meaning here are kept as text.

    Parameters
    ----------
    types
        Classes that may occur, None: any; the class column may be missing where there is only one.
    grid_of
        Says of a run what the file does not; a run for which it says None is left out.
    single
        Class of the rows, where the class column is missing.
    pixel_of
        Which pixel size of a grid the coordinates count in.

    Returns
    -------
    Records
        In the order of the file.

    Raises
    ------
    InputError
        If a column is missing or a row can't be used; the first ten problems are listed.
    """
    try:
        blocks = parse_star(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: no STAR file, or a damaged one: {error}") from error
    particles = find_particles(blocks, path)
    reader = RowReader.of(particles, blocks, types, path, single, pixel_of)
    table = PicksTable(str(path), types)
    for line, row in zip(particles.lines, particles.rows, strict=True):
        value = dict(zip(particles.columns, row, strict=True))
        grid = grid_of(reader.run(value)) if grid_of else None
        if grid_of and grid is None:
            continue
        try:
            xyz = reader.position(value, grid)
            score = parse_number(value.get(SCORE_COLUMN, "1"), SCORE_COLUMN)
        except ValueError as error:
            table.problem(line, str(error))
        else:
            extra = {name: text for name, text in value.items() if name not in KNOWN}
            table.add(line, reader.run(value), reader.class_name(value), xyz, score, extra)
    return table.records()

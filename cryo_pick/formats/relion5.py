"""RELION 5: centred Å, as one particles file and as an index of one coordinate file per tomogram.

`coordinates.star` has the two columns that RELION's coordinate import wants, and lists the files in
`coordinates/`. `particles.star` has all particles with their optics groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import to_centred
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import read_text
from cryo_pick.formats.records import Records, RunPicks, write_by_run
from cryo_pick.formats.star import read_star_records
from cryo_pick.formats.star_particles import optics_groups, particles_block, tomograms_block
from cryo_pick.formats.star_rows import CENTERED, GROUP_COLUMN, RUN_COLUMNS
from cryo_pick.formats.star_text import StarBlock, format_loop, parse_star
from cryo_pick.objects import ParticleTypes

FILE_COLUMN = "rlnTomoImportParticleFile"
_COMMENT = """\
# Picks of cryo-pick for RELION 5.
# rlnCenteredCoordinate is in Angstrom from the point at half the unbinned tomogram's size, so
# coordinates are multiplied by nothing on import.

"""


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write `out`/particles.star, `out`/coordinates.star and `out`/coordinates/<run>.star."""
    optics, groups = optics_groups(grids)
    name = {RUN_COLUMNS[0]: str}
    block = particles_block(
        records, grids, CENTERED, numbers, {**name, GROUP_COLUMN: lambda run: groups[run]}
    )
    text = "\n".join([optics, block, tomograms_block(grids)])

    def write_one(path: Path, run: str) -> None:
        one = Records(records.names, {run: records.runs[run]})
        write_text_atomic(path, _COMMENT + particles_block(one, grids, CENTERED, numbers, name))

    files = write_by_run(out / "coordinates", ".star", list(records.runs), write_one)
    rows = [[run, path.as_posix()] for run, path in zip(records.runs, files, strict=True)]
    index = format_loop("", [RUN_COLUMNS[0], FILE_COLUMN], rows)
    write_text_atomic(out / "coordinates.star", index)
    write_text_atomic(out / "particles.star", _COMMENT + text)
    return [out / "particles.star", out / "coordinates.star", *files]


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Centred coordinates in Å, zyx."""
    return to_centred(positions, grid.unbinned_size(run), grid.pixel(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read a particles file, an index of coordinate files, or a folder that `write` made.

    Raises
    ------
    InputError
        If a file is missing or broken, or a tomogram's size is not known.
    """
    if path.is_dir():
        path = path / "particles.star"
    index = _index(path)
    if index is None:
        return read_star_records(path, types, grid_of, single)
    names: list[str] = list(types.names) if types else []
    runs: dict[str, RunPicks] = {}
    for run, file in zip(index.column(RUN_COLUMNS[0]), index.column(FILE_COLUMN), strict=True):
        place = Path(file) if Path(file).exists() else path.parent / file
        part = read_star_records(place, types, grid_of, single)
        if strange := [name for name in part.runs if name != run]:
            raise InputError(f"{place}: expected particles of {run}, but got {strange[0]}")
        names += [n for n in part.names if n not in names]
        place_of = np.array([names.index(n) for n in part.names], np.int64)
        for found in part.runs.values():
            picks = found.picks
            runs[run] = RunPicks(
                type(picks)(picks.positions, place_of[picks.classes], picks.scores), found.extra
            )
    return Records(tuple(names), runs)


def _index(path: Path) -> StarBlock | None:
    """The block that lists coordinate files, if the file is such an index."""
    try:
        blocks = parse_star(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: no STAR file, or a damaged one: {error}") from error
    return next((b for b in blocks if {RUN_COLUMNS[0], FILE_COLUMN} <= set(b.columns)), None)

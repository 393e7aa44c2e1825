"""IMOD point text, one file per run: ``object contour x y z value``, for point2model.

IMOD's model coordinates put 0 at the corner of the first voxel along x and y, and at its centre
along z (3dmod; imodmodel's documentation shows it). The object is the class, counted from 1, the
value is the score. To and from a model::

    point2model -values 1 RUN.txt RUN.mod
    model2point -object -values 1 -float RUN.mod RUN.txt
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index, flip_axes, index_to_angstrom
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import PicksTable, parse_number
from cryo_pick.formats.records import Records, files_by_run, need_types, write_by_run
from cryo_pick.formats.table_rows import class_by_number, class_names, text_rows
from cryo_pick.objects import ParticleTypes

SUFFIX = ".txt"
SHIFT = (0.0, 0.5, 0.5)
"""Voxels, zyx: model coordinate of the centre of voxel 0."""


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write `out`/<run>.txt, or a single run as `out`; a class's number is its place in `types`."""
    need_types(types, "IMOD point text")

    def write_one(path: Path, run: str) -> None:
        picks = records.runs[run].picks
        xyz = flip_axes(numbers(picks.positions, grids[run], run))
        rows = zip(picks.classes, xyz, picks.scores, strict=True)
        lines = [f"{k + 1} 1 {x:.6f} {y:.6f} {z:.6f} {s:.6f}\n" for k, (x, y, z), s in rows]
        write_text_atomic(path, "".join(lines))

    return write_by_run(out, SUFFIX, list(records.runs), write_one)


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Model coordinates, zyx."""
    return angstrom_to_index(positions, grid.spacing(run), grid.origin) + SHIFT


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read point text, or a folder of it: x y z, with object and contour before, or a value too.

    Raises
    ------
    InputError
        If a file is missing or broken, or the voxel spacing is not known.
    """
    names = class_names(types, single, "IMOD point text")
    table = PicksTable(str(path), types)
    for run, file in files_by_run(path, SUFFIX).items():
        grid = grid_of(run)
        if grid is None:
            continue
        for line, words in text_rows(file):
            try:
                name, numbers_, score = _row(words, names, single)
            except ValueError as error:
                table.problem(line, f"{file.name}: {error}")
                continue
            index = flip_axes(numbers_) - SHIFT
            place = index_to_angstrom(index, grid.spacing(run), grid.origin)
            table.add(line, run, name, flip_axes(place).tolist(), score)
    return table.records()


def _row(
    words: list[str], names: tuple[str, ...], single: str | None
) -> tuple[str, list[float], float]:
    """Class, x y z and score of a line."""
    if len(words) not in (3, 5, 6):
        raise ValueError(f"expected 3, 5 or 6 numbers, but got {len(words)}")
    if len(words) == 3 and not single and len(names) != 1:
        raise ValueError("no object number that says the class; give --class NAME")
    name = single or (names[0] if len(words) == 3 else class_by_number(words[0], names))
    place = words if len(words) == 3 else words[2:5]
    xyz = [parse_number(word, axis) for word, axis in zip(place, "xyz", strict=True)]
    return name, xyz, parse_number(words[5], "value") if len(words) == 6 else 1.0

"""Dynamo table: a .tbl of all runs, and a .doc beside it that names the tomogram of each number.

Columns after Dynamo's table convention (wiki, `dthelp`): 1 tag, 2 aligned, 10 cc, 20 tomogram, 22
class, 24 to 26 x y z in voxels, 36 Å per voxel; shifts (4 to 6) are applied on reading. Voxel 0 is
written as 0: RELION, copick, ArtiaX and cryoCAT read it so, though Dynamo itself runs in Matlab.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index, flip_axes, index_to_angstrom
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import PicksTable, parse_number
from cryo_pick.formats.records import Records, need_types
from cryo_pick.formats.star_particles import single_pixel
from cryo_pick.formats.table_rows import class_by_number, class_names, text_rows
from cryo_pick.objects import ParticleTypes

N_COLUMNS = 40
LEAST_COLUMNS = 26
"""The last of x y z; tables may end there."""
TAG, ALIGNED, SHIFTS, SCORE = 0, 1, slice(3, 6), 9
TOMOGRAM, CLASS, PLACE, PIXEL = 19, 21, slice(23, 26), 35


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the table `out` and its .doc; a class's number is its place in `types`."""
    need_types(types, "A Dynamo table")
    lines, tag = [], 0
    for number, (run, found) in enumerate(records.runs.items(), 1):
        picks = found.picks
        xyz = flip_axes(numbers(picks.positions, grids[run], run))
        for place, kind, score in zip(xyz, picks.classes, picks.scores, strict=True):
            tag += 1
            row = ["0"] * N_COLUMNS
            row[TAG], row[ALIGNED], row[SCORE] = str(tag), "1", f"{score:.6f}"
            row[TOMOGRAM], row[CLASS] = str(number), str(int(kind) + 1)
            row[PLACE] = [f"{value:.6f}" for value in place]
            row[PIXEL] = repr(single_pixel(Grid(voxel_spacing=grids[run].spacing(run)), run))
            lines.append(" ".join(row) + "\n")
    doc = out.with_suffix(".doc")
    write_text_atomic(doc, "".join(f"{n} {run}\n" for n, run in enumerate(records.runs, 1)))
    write_text_atomic(out, "".join(lines))
    return [out, doc]


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Voxel indices, zyx."""
    return angstrom_to_index(positions, grid.spacing(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read a table and the .doc beside it.

    Raises
    ------
    InputError
        If a file is missing or broken, or the voxel spacing is not known.
    """
    names = class_names(types, single, "A Dynamo table")
    runs = _runs(path.with_suffix(".doc"))
    table = PicksTable(str(path), types)
    for line, words in text_rows(path):
        try:
            if len(words) < LEAST_COLUMNS:
                raise ValueError(f"expected {LEAST_COLUMNS} columns or more, got {len(words)}")
            number = int(parse_number(words[TOMOGRAM], "20 (tomogram)"))
            if number not in runs:
                raise ValueError(f"tomogram {number} is not in the .doc file")
            name = single or class_by_number(words[CLASS].removesuffix(".0"), names)
            xyz = [parse_number(w, a) for w, a in zip(words[PLACE], "xyz", strict=True)]
            shift = [parse_number(w, a) for w, a in zip(words[SHIFTS], "xyz", strict=True)]
            score = parse_number(words[SCORE], "10 (cc)")
        except ValueError as error:
            table.problem(line, str(error))
            continue
        run = runs[number]
        grid = grid_of(run)
        if grid is not None:
            index = flip_axes(np.add(xyz, shift))
            place = index_to_angstrom(index, grid.spacing(run), grid.origin)
            table.add(line, run, name, flip_axes(place).tolist(), score)
    return table.records()


def _runs(doc: Path) -> dict[int, str]:
    """Run of each tomogram number: the stem of the volume that the .doc names."""
    if not doc.is_file():
        raise InputError(f"{doc}: not there; it says which tomogram each number is: '1 NAME' lines")
    found = {}
    for line, words in text_rows(doc):
        if len(words) < 2 or not words[0].isdigit():
            raise InputError(f"{doc}: line {line}: expected a number and a volume")
        name = " ".join(words[1:]).rpartition("/")[2]
        found[int(words[0])] = name.removesuffix(".mrc").removesuffix(".rec").removesuffix(".em")
    return found

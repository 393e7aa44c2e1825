"""napari's points CSV: voxel indices as axis-0, axis-1, axis-2 (z, y, x), one file per run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index, flip_axes, index_to_angstrom
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import PicksTable, parse_number, read_text
from cryo_pick.formats.records import Records, extra_rows, files_by_run, write_by_run
from cryo_pick.objects import ParticleTypes

SUFFIX = ".csv"
AXES = ("axis-0", "axis-1", "axis-2")
COLUMNS = ("index", *AXES, "particle_type", "score")


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write `out`/<run>.csv, or a single run as `out`; class, score and others are properties."""

    def write_one(path: Path, run: str) -> None:
        picks = records.runs[run].picks
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow((*COLUMNS, *records.columns))
        index = numbers(picks.positions, grids[run], run)
        more = extra_rows(records, run)
        rows = zip(index, picks.classes, picks.scores, more, strict=True)
        for n, (place, kind, score, extra) in enumerate(rows):
            texts = [f"{value:.6f}" for value in place]
            writer.writerow((n, *texts, records.names[int(kind)], f"{score:.6f}", *extra))
        write_text_atomic(path, text.getvalue())

    return write_by_run(out, SUFFIX, list(records.runs), write_one)


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Voxel indices, zyx."""
    return angstrom_to_index(positions, grid.spacing(run), grid.origin)


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read a CSV of points, or a folder of them.

    Raises
    ------
    InputError
        If a file is missing or broken, or the voxel spacing is not known.
    """
    table = PicksTable(str(path), types)
    for run, file in files_by_run(path, SUFFIX).items():
        grid = grid_of(run)
        if grid is None:
            continue
        reader = csv.DictReader(io.StringIO(read_text(file), newline=""))
        missing = [a for a in AXES if a not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{file}: line 1: expected napari's {', '.join(AXES)}")
        for row in reader:
            line, name = reader.line_num, row.get("particle_type") or single or ""
            try:
                index = [parse_number(row[a] or "", a) for a in AXES]
                score = parse_number(row.get("score") or "1", "score")
            except ValueError as error:
                table.problem(line, f"{file.name}: {error}")
                continue
            place = index_to_angstrom(index, grid.spacing(run), grid.origin)
            extra = {k: v or "" for k, v in row.items() if k and k not in COLUMNS}
            table.add(line, run, name, flip_axes(place).tolist(), score, extra)
    return table.records()

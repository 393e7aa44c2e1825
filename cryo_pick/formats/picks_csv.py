"""Picks CSV, the CZII submission plus a score: `id,experiment,particle_type,x,y,z,score`, in Å."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from cryo_pick.coordinates import flip_axes
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.picks_table import PicksTable, parse_number, read_text
from cryo_pick.formats.records import Records, RunPicks, extra_rows
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

COLUMNS = ("id", "experiment", "particle_type", "x", "y", "z", "score")
REQUIRED = COLUMNS[1:6]


def read_csv(path: str | Path, types: ParticleTypes) -> dict[str, Picks]:
    """Picks by run, without further columns; see :func:`read_csv_records`."""
    return read_csv_records(path, types).picks()


def read_csv_records(path: str | Path, types: ParticleTypes | None) -> Records:
    """Read picks by run.

    Columns are found by name; `id` and `score` (then 1) may be missing, others are kept as text.

    Parameters
    ----------
    path
        A header without rows means no picks.
    types
        Classes that may occur; None: any.

    Returns
    -------
    Records
        In the order of the file; a run without a row is not in it.

    Raises
    ------
    InputError
        If there is no header, or a row can't be used; the first ten problems are listed.
    """
    table = PicksTable(str(path), types)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        header = [n.lower() if n.lower() in COLUMNS else n for n in names]
        _check_header(header, path)
        place = {name: header.index(name) for name in COLUMNS if name in header}
        for row in reader:
            if row:
                _add_row(table, reader.line_num, row, place, header)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from error
    return table.records()


def write_csv(path: str | Path, picks_by_run: Mapping[str, Picks], types: ParticleTypes) -> None:
    """Write picks of all runs, numbered from 0; coordinates to 0.0001 Å, scores to 6 decimals.

    Raises
    ------
    ValueError
        If a class of the picks is none of `types`.
    """
    for picks in picks_by_run.values():
        types.check_classes(picks.classes)
    runs = {run: RunPicks(picks) for run, picks in picks_by_run.items()}
    write_csv_records(path, Records(types.names, runs))


def write_csv_records(path: str | Path, records: Records, with_score: bool = True) -> None:
    """Write picks as :func:`write_csv` does, with their further columns behind the others.

    Parameters
    ----------
    with_score
        False: the bare CZII submission, without score and further columns.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *records.columns) if with_score else COLUMNS[:6])
    number = 0
    for run, found in records.runs.items():
        picks = found.picks
        more = extra_rows(records, run)
        columns = (picks.classes, flip_axes(picks.positions), picks.scores, more)
        for index, (x, y, z), score, extra in zip(*columns, strict=True):
            row = (number, run, records.names[int(index)], f"{x:.4f}", f"{y:.4f}", f"{z:.4f}")
            writer.writerow((*row, f"{score:.6f}", *extra) if with_score else row)
            number += 1
    write_text_atomic(path, text.getvalue())


def _check_header(header: list[str], path: str | Path) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(
            f"{path}: line 1: expected the header {','.join(COLUMNS)} (id and score may be "
            f"missing), but found no {', '.join(missing)} in {','.join(header)[:120]!r}"
        )
    twice = sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: line 1: column {', '.join(twice)} occurs twice")


def _add_row(
    table: PicksTable, line: int, row: list[str], place: Mapping[str, int], header: list[str]
) -> None:
    if len(row) != len(header):
        table.problem(line, f"expected {len(header)} fields, but found {len(row)}")
        return
    value = {name: row[i].strip() for name, i in place.items()}
    try:
        xyz = [parse_number(value[axis], axis) for axis in "xyz"]
        score = parse_number(value["score"], "score") if value.get("score") else 1.0
    except ValueError as error:
        table.problem(line, str(error))
        return
    extra = {n: v.strip() for n, v in zip(header, row, strict=True) if n and n not in place}
    table.add(line, value["experiment"], value["particle_type"], xyz, score, extra)

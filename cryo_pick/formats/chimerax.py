"""ChimeraX markers (.cmm), one file per run: a marker set per class, in the Å of the volume's file.

A marker lies where ChimeraX shows the density of an opened MRC: voxel index times spacing, plus the
origin of the file's header. Score and further columns are attributes of the marker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree  # nosec B405  # entities are refused before it parses

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index, flip_axes, index_to_angstrom
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_table import PicksTable, parse_number, read_text
from cryo_pick.formats.records import (
    Records,
    RunPicks,
    extra_rows,
    files_by_run,
    need_types,
    write_by_run,
)
from cryo_pick.objects import ParticleTypes

SUFFIX = ".cmm"
_OWN = ("id", "x", "y", "z", "r", "g", "b", "radius", "note", "score", "nr", "ng", "nb", "frame")
_UNIT = (1.0, 1.0, 1.0)


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write `out`/<run>.cmm, or a single run as `out`; markers have the class's colour and size."""
    known = need_types(types, "ChimeraX")

    def write_one(path: Path, run: str) -> None:
        sets = ElementTree.Element("marker_sets")
        for index, name in enumerate(records.names):
            found = records.runs[run]
            mask = found.picks.classes == index
            if mask.any():
                kind = known[known.index(name)]
                of_class = found.keep(mask)
                set_ = ElementTree.SubElement(sets, "marker_set", name=name)
                look = dict(zip("rgb", (f"{c / 255:.4f}" for c in kind.color[:3]), strict=True))
                look["radius"] = repr(kind.radius)
                _markers(set_, of_class, numbers(of_class.picks.positions, grids[run], run), look)
        ElementTree.indent(sets)
        write_text_atomic(path, ElementTree.tostring(sets, encoding="unicode") + "\n")

    return write_by_run(out, SUFFIX, list(records.runs), write_one)


def _markers(
    set_: ElementTree.Element, found: RunPicks, zyx: NDArray[np.float64], look: dict[str, str]
) -> None:
    names = [f"x_{n}" if n in _OWN else n for n in map(_attribute, found.extra)]
    rows = extra_rows(Records((), {"": found}), "")
    columns = zip(flip_axes(zyx), found.picks.scores, rows, strict=True)
    for number, (xyz, score, extra) in enumerate(columns, 1):
        place = dict(zip("xyz", (f"{v:.6f}" for v in xyz), strict=True))
        more = dict(zip(names, extra, strict=True))
        about = {"note": f"{score:.3f}", "score": f"{score:.6f}", **more}
        ElementTree.SubElement(set_, "marker", {"id": str(number), **place, **look, **about})


def _attribute(column: str) -> str:
    """A column's name as an XML attribute."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", column)
    return name if name[:1].isalpha() else f"x_{name}"


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Å, zyx, in the frame of the volume's file."""
    return index_to_angstrom(
        angstrom_to_index(positions, _UNIT, grid.origin), _UNIT, grid.file_origin
    )


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read marker sets, or a folder of them; a set's name is the class.

    Raises
    ------
    InputError
        If a file is missing, is no XML of markers, or declares entities.
    """
    table = PicksTable(str(path), types)
    for run, file in files_by_run(path, SUFFIX).items():
        grid = grid_of(run)
        if grid is None:
            continue
        for number, (name, marker) in enumerate(_read_markers(file)):
            try:
                xyz = [parse_number(marker.get(axis, ""), axis) for axis in "xyz"]
                score = parse_number(marker.get("score", "1"), "score")
            except ValueError as error:
                table.problem(number, f"{file.name}: marker {number}: {error}")
                continue
            place = index_to_angstrom(
                angstrom_to_index(flip_axes(xyz), _UNIT, grid.file_origin), _UNIT, grid.origin
            )
            extra = {k: v for k, v in marker.items() if k not in _OWN}
            table.add(number, run, single or name, flip_axes(place).tolist(), score, extra)
    return table.records()


def _read_markers(file: Path) -> list[tuple[str, dict[str, str]]]:
    """Name of the set and attributes of each marker."""
    text = read_text(file)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{file}: declares entities, which markers need none of; not read")
    try:
        root = ElementTree.fromstring(text)  # nosec B314  # see the lines above
    except ElementTree.ParseError as error:
        raise InputError(f"{file}: no XML, or a damaged one ({error})") from error
    sets = [root] if root.tag == "marker_set" else root.findall(".//marker_set")
    if not sets and root.tag != "marker_sets":
        raise InputError(f"{file}: expected ChimeraX markers, but the XML is a <{root.tag}>")
    return [(s.get("name", ""), dict(m.attrib)) for s in sets for m in s.iter("marker")]

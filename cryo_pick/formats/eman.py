"""EMAN2's info JSON, one file per run: `boxes_3d` in unbinned voxels from the tomogram's middle.

After ``e2spt_boxer`` and ``e2spt_tempmatch``: x y z = (index - shape // 2) * spacing / apix_unbin,
where index and shape are of the tomogram on display and shape // 2 is rounded down; a box is
``[x, y, z, method, score, class]`` and `class_list` names the classes and their box sizes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import flip_axes, from_centred, to_centred
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.location import Location
from cryo_pick.formats.picks_table import PicksTable, parse_number
from cryo_pick.formats.records import Records, files_by_run, need_types, write_by_run
from cryo_pick.formats.star_particles import single_pixel
from cryo_pick.objects import ParticleTypes

SUFFIX = "_info.json"


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write `out`/<run>_info.json, or a single run as `out`; boxes are twice a particle's size."""
    radii = {kind.name: kind.radius for kind in need_types(types, "EMAN")}

    def write_one(path: Path, run: str) -> None:
        picks, pixel = records.runs[run].picks, single_pixel(grids[run], run)
        xyz = flip_axes(numbers(picks.positions, grids[run], run)).tolist()
        rows = zip(xyz, picks.scores.tolist(), picks.classes.tolist(), strict=True)
        content = {
            "apix_unbin": pixel,
            "boxes_3d": [[*place, "cryo-pick", score, kind] for place, score, kind in rows],
            "class_list": {
                str(i): {"boxsize": 2 * math.ceil(2 * radii[name] / pixel), "name": name}
                for i, name in enumerate(records.names)
            },
        }
        write_text_atomic(path, json.dumps(content, allow_nan=False) + "\n")

    return write_by_run(out, SUFFIX, list(records.runs), write_one)


def numbers(positions: NDArray[np.float64], grid: Grid, run: str) -> NDArray[np.float64]:
    """Unbinned voxels from the middle, zyx."""
    centred = to_centred(positions, grid.size(run), grid.spacing(run), grid.origin, whole=True)
    return np.asarray(centred / single_pixel(grid, run))


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read an info JSON, or a folder of them.

    Raises
    ------
    InputError
        If a file is missing or broken, or the tomogram's grid is not known.
    """
    table = PicksTable(str(path), types)
    for run, file in files_by_run(path, SUFFIX).items():
        grid = grid_of(run)
        if grid is None:
            continue
        content = Location.of(file).read_json()
        boxes = content.get("boxes_3d") if isinstance(content, dict) else None
        if not isinstance(boxes, list):
            raise InputError(f"{file}: expected EMAN2's info JSON with `boxes_3d`")
        try:
            pixel = parse_number(str(content.get("apix_unbin")), "apix_unbin")
        except ValueError as error:
            raise InputError(f"{file}: {error}; older info files without it are not read") from None
        for number, box in enumerate(boxes):
            try:
                xyz, score, name = _box(box, content.get("class_list"))
            except ValueError as error:
                table.problem(number, f"{file.name}: box {number}: {error}")
                continue
            place = from_centred(
                flip_axes(xyz) * pixel, grid.size(run), grid.spacing(run), grid.origin, whole=True
            )
            table.add(number, run, single or name, flip_axes(place).tolist(), score)
    return table.records()


def _box(box: Any, classes: Any) -> tuple[list[float], float, str]:
    """Numbers x y z, score and class of a box."""
    if not isinstance(box, list) or len(box) < 6:
        raise ValueError("expected [x, y, z, method, score, class]")
    xyz = [parse_number(str(value), axis) for value, axis in zip(box[:3], "xyz", strict=True)]
    kind = classes.get(str(box[5])) if isinstance(classes, dict) else None
    name = kind.get("name") if isinstance(kind, dict) else None
    if not isinstance(name, str):
        raise ValueError(f"class {box[5]!r} is not in `class_list`")
    return xyz, parse_number(str(box[4]), "score"), name

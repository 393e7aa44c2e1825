"""Blocks of the STAR files that RELION and Warp read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import flip_axes
from cryo_pick.errors import InputError
from cryo_pick.formats.grid import PIXEL, SIZES, Grid
from cryo_pick.formats.records import Records, extra_rows
from cryo_pick.formats.star_rows import CLASS_COLUMN, GROUP_COLUMN, RUN_COLUMNS, SCORE_COLUMN
from cryo_pick.formats.star_text import format_loop

EMPTY = "None"
"""RELION's word for a text that is not there."""
Numbers = Callable[[NDArray[np.float64], Grid, str], NDArray[np.float64]]
"""Coordinates of a format, zyx, from positions in Å, zyx, of a run with that grid."""


def particles_block(
    records: Records,
    grids: Mapping[str, Grid],
    labels: Sequence[str],
    numbers: Numbers,
    more: Mapping[str, Callable[[str], str]],
) -> str:
    """``data_particles`` of all runs: coordinates, what `more` says of a run, class, score, others.

    Parameters
    ----------
    labels
        Of the coordinates, x y z.
    more
        Values of further columns, by label, as functions of the run.
    """
    columns = [*labels, *more, CLASS_COLUMN, SCORE_COLUMN]
    for name in records.columns:
        label = label_of(name)
        columns.append(label if label not in columns else f"{label}_{len(columns)}")
    rows: list[list[str]] = []
    for run, found in records.runs.items():
        picks = found.picks
        xyz = flip_axes(numbers(picks.positions, grids[run], run))
        about = [value(run) for value in more.values()]
        kept = extra_rows(records, run, EMPTY)
        for point, index, score, extra in zip(xyz, picks.classes, picks.scores, kept, strict=True):
            place = [f"{value:.6f}" for value in point]
            texts = [text or EMPTY for text in extra]
            rows.append([*place, *about, records.names[int(index)], f"{score:.6f}", *texts])
    return format_loop("particles", columns, rows)


def label_of(column: str) -> str:
    """A column's name as a STAR label: letters, digits and underscores."""
    return re.sub(r"\W+", "_", column, flags=re.ASCII) or "column"


def single_pixel(grid: Grid, run: str) -> float:
    """Å per unbinned voxel, where it is the same along all axes.

    Raises
    ------
    InputError
        If it isn't, or is not known.
    """
    pixel = grid.pixel(run)
    if max(pixel) - min(pixel) > 1e-6 * max(pixel):
        raise InputError(
            f"run {run!r}: STAR has one pixel size for all axes, but this tomogram's is {pixel} Å "
            "(z, y, x); give the unbinned one with --unbinned"
        )
    return pixel[0]


def optics_groups(grids: Mapping[str, Grid]) -> tuple[str, dict[str, str]]:
    """``data_optics`` with a group per pixel size, and the group of each run."""
    pixels = {run: single_pixel(grid, run) for run, grid in grids.items()}
    groups = {pixel: str(i) for i, pixel in enumerate(sorted(set(pixels.values())), 1)}
    rows = [[n, f"opticsGroup{n}", repr(pixel)] for pixel, n in groups.items()]
    text = format_loop("optics", [GROUP_COLUMN, "rlnOpticsGroupName", PIXEL], rows)
    return text, {run: groups[pixel] for run, pixel in pixels.items()}


def tomograms_block(grids: Mapping[str, Grid]) -> str:
    """``data_tomograms``: unbinned size and pixel size, so that the file can be read alone."""
    rows = []
    for run, grid in grids.items():
        size = [str(n) for n in grid.unbinned_size(run)[::-1]]
        rows.append([run, *size, repr(single_pixel(grid, run))])
    return format_loop("tomograms", [RUN_COLUMNS[0], *SIZES[::-1], PIXEL], rows)

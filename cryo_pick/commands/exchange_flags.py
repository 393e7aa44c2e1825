"""Flags, tables and JSON that `import` and `export` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick.json_output import add_json

if TYPE_CHECKING:
    from cryo_pick.pipeline.exchange import Row

COPICK = "copick"


def add_shared(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say the geometry, the classes, the names and whose picks."""
    parser.add_argument(
        "--tomograms", metavar="PATH", action="append", default=[],
        help="project, OME-Zarr, MRC or folder of them, whose headers say size, voxel spacing and "
        "origin; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=int, nargs=3, metavar=("Z", "Y", "X"),
        help="voxels of the picked tomograms, where they are not at hand",
    )  # fmt: skip
    parser.add_argument(
        "--voxel-spacing", type=float, metavar="A", dest="config.data.voxel_spacing",
        help="Å per voxel: which tomograms of a project, and of those that are not at hand",
    )  # fmt: skip
    parser.add_argument(
        "--tomo-type", metavar="NAME", dest="config.data.tomo_type", help="which tomograms"
    )
    parser.add_argument(
        "--unbinned", type=Path, metavar="STAR",
        help="RELION's tomograms.star: size and pixel size before binning, and the names there",
    )  # fmt: skip
    parser.add_argument(
        "--rename", metavar="PATTERN=TEXT", action="append", default=[],
        help="regular expression in names of runs, and what to put there; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--objects", metavar="NAME", help="the classes: czii or a copick project (the one at hand)"
    )
    parser.add_argument("--user", metavar="ID", help="user of the picks in a copick project")
    parser.add_argument("--session", metavar="ID", help="session of the picks in a copick project")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what becomes of each name, and write nothing"
    )
    add_json(parser)


def summary_of_rows(rows: Sequence[Row], files: Sequence[str] = ()) -> dict[str, Any]:
    """What became of each name, with the geometry that is used, and what was written."""
    runs = {
        row.run: {
            "name": row.name,
            "picks": row.n_picks,
            "size": row.grid.shape,
            "voxel_spacing": row.grid.voxel_spacing,
            "unbinned_size": row.grid.unbinned_shape,
            "unbinned_pixel": row.grid.unbinned_pixel,
            "middle_off": row.grid.residual,
        }
        for row in rows
    }
    return {"files": files, "picks": sum(row.n_picks for row in rows), "runs": runs}


def print_rows(rows: Sequence[Row], heading: str) -> None:
    """Print what became of each name, with the geometry that is used."""
    from rich.console import Console
    from rich.table import Table

    from cryo_pick.formats.run_names import RULE

    table = Table(title=heading)
    table.add_column("run", overflow="fold")
    table.add_column("name in the file", overflow="fold")
    for column in ("picks", "size z y x", "Å per voxel", "unbinned", "middle off by Å"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        grid = row.grid
        spacing = grid.voxel_spacing
        unbinned = grid.unbinned_shape
        shown = "-" if spacing is None else " ".join(f"{s:g}" for s in dict.fromkeys(spacing))
        table.add_row(
            row.run,
            row.name,
            str(row.n_picks),
            "-" if grid.shape is None else " ".join(map(str, grid.shape)),
            shown,
            "-"
            if unbinned is None
            else f"{' '.join(map(str, unbinned))} at {grid.unbinned_pixel:g}",
            "-" if grid.residual is None else " ".join(f"{r:+.2f}" for r in grid.residual),
        )
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)
    print(f"names: {RULE}")

"""``cryo-pick export``: picks and volumes as other programs want them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.commands.exchange_flags import COPICK, add_shared, print_rows, summary_of_rows
from cryo_pick.json_output import Answer, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.formats.exchange import Format
    from cryo_pick.pipeline.exchange import Row


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "source", metavar="PICKS",
        help=".csv, .star, folder made by predict, or copick project; for volumes what predict "
        "takes",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="FORMAT", required=True,
        help="copick, csv, kaggle, star, relion5, relion4, warp, eman, imod, dynamo, chimerax, "
        "napari; of volumes mrc, ome-zarr, ome-zarr-0.5",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="PATH", required=True, help="file, folder or copick project to write"
    )
    parser.add_argument(
        "--class", metavar="NAME", action="append", dest="classes",
        help="only picks of this class; may be repeated",
    )  # fmt: skip
    add_shared(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Write the files and print what they are."""
    from cryo_pick.formats.exchange import find_format
    from cryo_pick.pipeline.volumes import VOLUMES

    format_ = find_format(args.to, (COPICK, *VOLUMES))
    with only_json(args.json) as answer:
        if format_ is None and args.to != COPICK:
            _export_volumes(args, config, answer)
        else:
            _export_picks(args, config, format_, answer)
    return 0


def _export_picks(
    args: argparse.Namespace, config: Config | None, format_: Format | None, answer: Answer
) -> None:
    from cryo_pick.closest import closest_hint
    from cryo_pick.errors import ConfigError, raise_all
    from cryo_pick.formats.copick import OWN_USER
    from cryo_pick.formats.run_names import RunNames, parse_renames
    from cryo_pick.pipeline import exchange
    from cryo_pick.pipeline import geometry as geometries
    from cryo_pick.settings import DataSettings

    settings = config.data if config else DataSettings()
    renames = parse_renames(args.rename)
    places = [args.source, *args.tomograms]
    types = exchange.find_types(args.objects, *places)
    records = exchange.read_source(args.source, types, args.user, args.session)
    strange = [c for c in args.classes or [] if c not in records.names]
    hints = [f"--class {name}: {closest_hint(name, records.names)}" for name in strange]
    raise_all(hints, ConfigError, "no such class in the picks")
    if args.classes:
        records = records.of_classes(args.classes)
    tomograms = args.tomograms or geometries.tomograms_of(args.source, args.size)
    needed = format_ is not None and (format_.spacing or format_.frame)
    geometry = geometries.find_geometry(
        tomograms if needed else args.tomograms, settings, args.size, args.unbinned
    )
    names = RunNames(frozenset(geometry.unbinned) or None, renames)
    rows = exchange.plan_export(records, geometry, names, settings, args.source)
    if args.dry_run:
        answer(summary_of_rows(rows))
        print_rows(rows, f"{args.source} to {args.to}")
        return
    if format_ is None:
        renamed = records.renamed({row.run: row.name for row in rows})
        files = exchange.write_to_project(
            args.out, renamed, types, args.user or OWN_USER, args.session or "0"
        )
    else:
        written = exchange.write_export(format_, Path(args.out), records, types, rows)
        files = list(map(str, written))
    answer(summary_of_rows(rows, files))
    _print_done(files, rows, args.out, format_)


def _print_done(files: list[str], rows: list[Row], out: str, format_: Format | None) -> None:
    """The files, and what to do with them."""
    n_picks = sum(row.n_picks for row in rows)
    for file in files[:10]:
        print(file)
    if len(files) > 10:
        print(f"and {len(files) - 10} more files")
    print(f"{n_picks} picks in {len(rows)} runs: {out}")
    if format_ is not None and format_.next:
        spacing = rows[0].grid.voxel_spacing if rows else None
        shown = f"{spacing[0]:g}" if spacing else "A"
        print(f"next: {format_.next.format(out=out, spacing=shown)}")


def _export_volumes(args: argparse.Namespace, config: Config | None, answer: Answer) -> None:
    from cryo_pick.formats.inputs import find_inputs
    from cryo_pick.pipeline.volumes import export_volumes, volume_path
    from cryo_pick.settings import DataSettings

    runs = find_inputs(args.source, config.data if config else DataSettings())
    out = Path(args.out)
    if args.dry_run:
        places = {r.run: volume_path(out, args.to, r.run, len(runs)) for r in runs}
        answer({"files": [], "runs": {run: {"file": path} for run, path in places.items()}})
        for run, path in places.items():
            print(f"{run}: {path}")
        return
    written = []
    for item, path in zip(runs, export_volumes(runs, args.to, out), strict=True):
        print(path)
        written.append((item.run, path))
    answer({"files": [p for _, p in written], "runs": {run: {"file": p} for run, p in written}})

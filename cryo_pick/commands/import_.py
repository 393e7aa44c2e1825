"""``cryo-pick import``: picks and volumes of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.commands.exchange_flags import COPICK, add_shared, print_rows, summary_of_rows
from cryo_pick.json_output import Answer, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.formats.exchange import Format
    from cryo_pick.formats.records import Records
    from cryo_pick.objects import ParticleTypes
    from cryo_pick.pipeline.exchange import Row

KAGGLE_ZIP = "kaggle-zip"
SESSION = "0"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("source", metavar="PATH", help="file or folder of another program")
    parser.add_argument(
        "--from", metavar="FORMAT", required=True, dest="format",
        help="copick, csv, kaggle, star, relion5, relion4, warp, eman, imod, dynamo, chimerax, "
        "napari; of volumes mrc, ome-zarr; kaggle-zip, the challenge's download",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="PATH", required=True,
        help=".csv, .star or copick project to write; of kaggle-zip, a new folder",
    )  # fmt: skip
    parser.add_argument(
        "--class", metavar="NAME", dest="single", help="class of picks whose file doesn't say it"
    )
    add_shared(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Read the files, write picks or a project, and print what they are."""
    from cryo_pick.formats.exchange import find_format
    from cryo_pick.pipeline.volumes import VOLUMES

    format_ = find_format(args.format, (COPICK, KAGGLE_ZIP, *VOLUMES))
    with only_json(args.json) as answer:
        if args.format == KAGGLE_ZIP:
            _unpack(args, answer)
        elif args.format in VOLUMES:
            _import_volumes(args, config, answer)
        else:
            _import_picks(args, config, format_, answer)
    return 0


def _import_picks(
    args: argparse.Namespace, config: Config | None, format_: Format | None, answer: Answer
) -> None:
    from cryo_pick.formats.run_names import RunNames, parse_renames
    from cryo_pick.pipeline import exchange
    from cryo_pick.pipeline import geometry as geometries
    from cryo_pick.settings import DataSettings

    settings = config.data if config else DataSettings()
    to_file = Path(args.out).suffix.lower() in (".csv", ".star")
    project = None if to_file else exchange.project_at(args.out)
    places = [*args.tomograms, *([] if to_file else [args.out])]
    types = exchange.find_types(args.objects, *places)
    tomograms = args.tomograms or ([] if project is None else geometries.tomograms_of(args.out))
    geometry = geometries.find_geometry(tomograms, settings, args.size, args.unbinned)
    names = RunNames(geometries.known_runs(geometry, project), parse_renames(args.rename))
    if format_ is None:
        found = exchange.read_source(args.source, types, args.user, args.session)
        rows = exchange.plan_import(found, geometry, names, args.source)
        records = found.renamed(names.found)
    else:
        records, rows = exchange.read_import(
            Path(args.source), format_, types, geometry, names, args.single
        )
    if args.dry_run:
        answer(summary_of_rows(rows))
        print_rows(rows, f"{args.source}, {args.format}")
        return
    files = _write(args, records, types, rows, to_file)
    answer(summary_of_rows(rows, files))
    n_picks = sum(row.n_picks for row in rows)
    print(f"{n_picks} picks in {len(rows)} runs: {', '.join(files[:3])}")
    if len(files) > 3:
        print(f"and {len(files) - 3} more files")


def _write(
    args: argparse.Namespace,
    records: Records,
    types: ParticleTypes | None,
    rows: list[Row],
    to_file: bool,
) -> list[str]:
    """Write the picks as the name of the output says; the files."""
    from cryo_pick.errors import InputError
    from cryo_pick.formats.exchange import find_format
    from cryo_pick.pipeline import exchange

    if not to_file:
        user = args.user if args.user and args.format != COPICK else args.format
        return exchange.write_to_project(args.out, records, types, user, args.session or SESSION)
    format_ = find_format(Path(args.out).suffix.lower().removeprefix("."))
    if format_ is None:
        raise InputError(f"{args.out}: expected a name ending in .csv or .star")
    own = [exchange.Row(row.run, row.run, row.n_picks, row.grid) for row in rows]
    return list(map(str, exchange.write_export(format_, Path(args.out), records, types, own)))


def _unpack(args: argparse.Namespace, answer: Answer) -> None:
    from cryo_pick.formats.copick import open_project
    from cryo_pick.formats.kaggle_zip import unpack

    if args.dry_run:
        answer({"source": args.source, "project": args.out})
        print(f"would unpack {args.source} into {args.out}")
        return
    folder = unpack(args.source, args.out)
    project = open_project(folder)
    answer({"source": args.source, "project": folder, "runs": project.runs})
    print(f"project of {len(project.runs)} runs: {folder}")
    print(f"next: cryo-pick inspect {folder}")


def _import_volumes(args: argparse.Namespace, config: Config | None, answer: Answer) -> None:
    from cryo_pick.errors import ConfigError
    from cryo_pick.formats.inputs import find_inputs
    from cryo_pick.pipeline import exchange
    from cryo_pick.pipeline.volumes import import_volumes
    from cryo_pick.settings import DataSettings

    settings = config.data if config else DataSettings()
    if settings.tomo_type is None:
        raise ConfigError("--tomo-type: give the name that the tomograms get in the project")
    runs = find_inputs(args.source, settings)
    if args.dry_run:
        answer({"files": [], "runs": {r.run: {"source": r.path} for r in runs}})
        for item in runs:
            print(f"{item.path}: run {item.run}, {settings.tomo_type}")
        return
    types = exchange.find_types(args.objects, args.out)
    project = exchange.open_or_create(args.out, types)
    written = {}
    for item, path in zip(runs, import_volumes(runs, project, settings.tomo_type), strict=True):
        print(path)
        written[item.run] = {"source": item.path, "file": path}
    answer({"files": [row["file"] for row in written.values()], "runs": written})

"""Picks and volumes in and out of other programs' files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.choices import choose_runs
from cryo_pick.formats.copick import OWN_USER, CopickProject, create_project, open_project
from cryo_pick.formats.exchange import Format, check_grids
from cryo_pick.formats.grid import Grid
from cryo_pick.formats.picks_csv import read_csv_records
from cryo_pick.formats.picks_file import PREDICTED, read_picks
from cryo_pick.formats.records import Records, RunPicks
from cryo_pick.formats.run_names import RunNames
from cryo_pick.formats.star import read_star_records
from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import FILE, read_bundle
from cryo_pick.pipeline.geometry import Geometry
from cryo_pick.settings import DataSettings

logger = logging.getLogger(__name__)

CZII = "czii"


@dataclass(frozen=True)
class Row:
    """One run of a conversion, as `--dry-run` shows it."""

    name: str
    run: str
    n_picks: int
    grid: Grid


def find_types(objects: str | None, *places: str | Path) -> ParticleTypes | None:
    """Classes that ``--objects`` names, or else the first of the projects and bundles in `places`.

    Raises
    ------
    ConfigError
        If `objects` is neither czii nor a project.
    """
    if objects == CZII:
        return CZII_TYPES
    if objects is not None:
        try:
            return open_project(objects).types
        except InputError as error:
            raise ConfigError(
                f"--objects {objects}: expected czii or a copick project ({error})"
            ) from None
    for place in places:
        folder = Path(place)
        if (folder / FILE).is_file():
            return read_bundle(folder).types
        if "://" not in str(place) and not folder.is_dir() and folder.suffix != ".json":
            continue
        try:
            return open_project(place).types
        except InputError:
            continue
    return None


def read_source(
    path: str, types: ParticleTypes | None, user: str | None, session: str | None
) -> Records:
    """Picks to export: a .csv or .star with all its columns, or a copick project's.

    Of a project without `user`, this program's own picks, or everybody's where it has none.

    Raises
    ------
    InputError
        If there are none, or they can't be read.
    """
    local = Path(path)
    if (local / PREDICTED).is_file():
        local = local / PREDICTED
    if local.suffix.lower() == ".csv":
        return read_csv_records(local, types)
    if local.suffix.lower() == ".star":
        return read_star_records(local, types)
    picks, found = read_picks(path, types, user or OWN_USER, session)
    if user is None and not any(len(p) for p in picks.values()):
        picks, found = read_picks(path, types, None, session)
    return Records(found.names, {run: RunPicks(p) for run, p in picks.items() if len(p)})


def plan_export(
    records: Records, geometry: Geometry, names: RunNames, settings: DataSettings, where: str
) -> list[Row]:
    """Which run goes out under which name, and with which grid.

    Raises
    ------
    InputError
        If there are no picks, or no run of theirs is among the tomograms or has a name there.
    """
    runs = choose_runs(list(records.runs), settings, where)
    if not runs:
        raise InputError(f"{where}: no picks to export")
    if geometry.grids and not set(runs) & set(geometry.grids):
        hint = closest_hint(runs[0], geometry.grids)
        raise InputError(
            f"{where}: none of its {len(runs)} runs is among the tomograms; {runs[0]}: {hint}"
        )
    rows = []
    for run in runs:
        name = names(run)
        if name is not None:
            grid = geometry.grid(run, name)
            rows.append(Row(name, run, len(records.runs[run].picks), grid))
    names.check(where)
    return rows


def write_export(
    format_: Format, out: Path, records: Records, types: ParticleTypes | None, rows: Sequence[Row]
) -> list[Path]:
    """Write the picks of a plan; the files.

    Raises
    ------
    InputError
        If something the format needs is not known, or a name can't be written.
    """
    grids = {row.name: row.grid for row in rows}
    check_grids(format_, grids)
    renamed = records.renamed({row.run: row.name for row in rows})
    if renamed.columns and not format_.extra:
        logger.warning(
            "%s has no place for the columns %s", format_.name, ", ".join(renamed.columns)
        )
    if format_.unbinned and (own := [r for r, g in grids.items() if g.unbinned_pixel is None]):
        logger.warning(
            "%s counts in the unbinned tomogram; no --unbinned says it for %s%s, so the picked "
            "tomogram's own size and voxels stand in for it",
            format_.name, ", ".join(own[:3]), " and others" if len(own) > 3 else "",
        )  # fmt: skip
    if types is not None:
        renamed = in_classes(renamed, types)
    try:
        return format_.load().write(out, renamed, types, grids)
    except ValueError as error:
        raise InputError(f"{out}: {error}") from error


def in_classes(records: Records, types: ParticleTypes) -> Records:
    """The same picks with classes counted in `types`.

    Raises
    ------
    InputError
        If they name a class that isn't there; the message shows the closest ones.
    """
    for name in records.names:
        if name not in types.names:
            hint = closest_hint(name, types.names)
            raise InputError(f"picks of {name!r}, which is none of the objects; {hint}")
    place = np.array([types.index(name) for name in records.names], np.int64)
    runs = {}
    for run, found in records.runs.items():
        picks = found.picks
        counted = Picks(picks.positions, place[picks.classes], picks.scores)
        runs[run] = RunPicks(counted, found.extra)
    return Records(types.names, runs)


def read_import(
    path: Path,
    format_: Format,
    types: ParticleTypes | None,
    geometry: Geometry,
    names: RunNames,
    single: str | None,
) -> tuple[Records, list[Row]]:
    """Picks of another program's file, in our runs, and what became of its names.

    Raises
    ------
    InputError
        If the file can't be read, or no name in it is a known run.
    ConfigError
        If two of its names become one run, or `single` is none of the classes.
    """
    if types is not None and single is not None and single not in types.names:
        raise ConfigError(f"--class {single}: no such class; {closest_hint(single, types.names)}")

    def grid_of(name: str) -> Grid | None:
        run = names(name)
        return None if run is None else geometry.grid(run, name)

    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    records = format_.load().read(path, types, grid_of, single)
    names.check(str(path))
    rows = [
        Row(name, names.found[name], len(found.picks), geometry.grid(names.found[name], name))
        for name, found in records.runs.items()
    ]
    return records.renamed(names.found), rows


def write_to_project(
    place: str | Path, records: Records, types: ParticleTypes | None, user: str, session: str
) -> list[str]:
    """Write picks into a copick project, which is made if it isn't there; the files.

    Raises
    ------
    InputError
        If the picks name a class that the project lacks, or a file can't be written.
    ConfigError
        If the project is new and nothing says its classes.
    """
    project = open_or_create(place, types)
    counted = in_classes(records, project.types)
    return [
        str(file)
        for run, found in counted.runs.items()
        for file in project.write_picks(run, found.picks, user, session)
    ]


def is_free(place: str | Path) -> bool:
    """Whether a new project can be made here: a folder that is empty or not there."""
    folder = Path(place)
    return "://" not in str(place) and (
        not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    )


def project_at(place: str | Path) -> CopickProject | None:
    """The project at a place; None where a new one can be made.

    Raises
    ------
    InputError
        If there is something else.
    """
    return None if is_free(place) else open_project(place)


def open_or_create(place: str | Path, types: ParticleTypes | None) -> CopickProject:
    """The project at a place, or a new one in a folder that is empty or not there.

    Raises
    ------
    InputError
        If there is something else.
    ConfigError
        If the project is new and nothing says its classes.
    """
    project, folder = project_at(place), Path(place)
    if project is not None:
        return project
    if types is None:
        raise ConfigError(f"{place}: a new project needs its classes: --objects czii or PROJECT")
    return create_project(folder, folder.name, types)


def plan_import(records: Records, geometry: Geometry, names: RunNames, where: str) -> list[Row]:
    """What becomes of the runs of a project that is read as it is.

    Raises
    ------
    InputError
        If none is a known run.
    """
    rows = [
        Row(name, run, len(found.picks), geometry.grid(run, name))
        for name, found in records.runs.items()
        if (run := names(name)) is not None
    ]
    names.check(where)
    return rows

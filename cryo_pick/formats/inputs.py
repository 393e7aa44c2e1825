"""What `predict` is given: projects, volumes and folders of them, as a list of runs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryo_pick.errors import InputError, raise_all
from cryo_pick.formats.choices import choose_origin, choose_runs
from cryo_pick.formats.copick import CopickProject, open_project
from cryo_pick.formats.copick_config import CONFIG_NAME, is_bare_project, is_config
from cryo_pick.formats.copick_picks import safe_name
from cryo_pick.formats.location import Location
from cryo_pick.formats.mrc import MRC_SUFFIXES, open_mrc
from cryo_pick.formats.ome_zarr import is_ome_zarr, open_ome_zarr
from cryo_pick.settings import DataSettings
from cryo_pick.tomogram import Tomogram

log = logging.getLogger(__name__)

LOOKED_FOR = (
    f"a copick config ({CONFIG_NAME} or another JSON with `pickable_objects`), "
    f"an OME-Zarr (.zarr), or MRC files ({', '.join(MRC_SUFFIXES)})"
)


@dataclass(frozen=True)
class InputRun:
    """One run to predict.

    Attributes
    ----------
    run
        Unique in its list, and safe as a folder's name.
    open
        Opens the tomogram; reads no voxels. Raises InputError where it can't.
    path
        Where it comes from, for messages.
    """

    run: str
    open: Callable[[], Tomogram]
    path: str


def find_inputs(paths: Iterable[str | Path] | str | Path, settings: DataSettings) -> list[InputRun]:
    """Runs behind `paths`, in that order.

    Parameters
    ----------
    paths
        Each a copick config, an OME-Zarr, an MRC, or a folder of them; URLs too.
    settings
        Which runs, and of a copick project which tomogram; voxel spacing and origin where the
        file's are not to be believed.

    Raises
    ------
    InputError
        If a path holds nothing that can be used, or two runs have the same name.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    sources = [_look_into(Location.of(path)) for path in listed]
    names = [n for s in sources for n in (s.runs if isinstance(s, CopickProject) else s)]
    chosen = choose_runs(sorted(set(names)), settings, ", ".join(map(str, listed)))
    wanted = set(chosen)
    found: list[InputRun] = []
    for source in sources:
        if isinstance(source, CopickProject):
            found += _of_project(source, chosen, settings)
        else:
            found += _of_volumes({n: p for n, p in source.items() if n in wanted}, settings)
    _check_names(found)
    if not found:
        raise InputError(f"{', '.join(map(str, listed))}: no run is left by data.runs")
    return found


def _look_into(place: Location) -> CopickProject | dict[str, Location]:
    """The project at a place, or the volumes by run name.

    Raises
    ------
    InputError
        If there is neither.
    """
    name = place.name.lower()
    if place.local is not None and not place.exists():
        raise InputError(f"{place}: no such file or folder; expected {LOOKED_FOR}")
    if not place.is_folder() and name.endswith(".json"):
        return open_project(place)
    if is_ome_zarr(place) or (name.endswith(MRC_SUFFIXES) and not place.is_folder()):
        return {_stem(place): place}
    if not place.exists():
        raise InputError(f"{place}: no such file or folder; expected {LOOKED_FOR}")
    if not place.is_folder():
        raise InputError(f"{place}: can't be used as input; expected {LOOKED_FOR}")
    configs = [n for n in place.files() if n.endswith(".json") and is_config(place / n)]
    if configs or is_bare_project(place):
        return open_project(place)
    volumes = [place / n for n in place.files() if n.lower().endswith(MRC_SUFFIXES)]
    volumes += [place / n for n in place.folders() if n.endswith(".zarr")]
    if not volumes:
        raise InputError(f"{place}: nothing to predict in this folder; looked for {LOOKED_FOR}")
    by_name: dict[str, Location] = {}
    for volume in sorted(volumes, key=str):
        other = by_name.setdefault(_stem(volume), volume)
        if other is not volume:
            raise InputError(
                f"{place}: {other.name} and {volume.name} are the same run; rename one"
            )
    return by_name


def _of_project(
    project: CopickProject, chosen: Sequence[str], settings: DataSettings
) -> list[InputRun]:
    """Runs of a project; where the settings name runs, those of them that it has."""
    here = set(project.runs)
    if settings.runs is not None and not here & set(chosen):
        return []
    named = None if settings.runs is None else [run for run in chosen if run in here]
    without = [run for run in settings.exclude_runs if run in here]
    of_project = replace(settings, runs=named, exclude_runs=without)
    return [
        InputRun(run, functools.partial(project.open_tomogram, run, settings), str(project.config))
        for run in project.select_runs(of_project)
    ]


def _of_volumes(places: Mapping[str, Location], settings: DataSettings) -> list[InputRun]:
    """Runs of volume files, called after the files."""
    return [
        InputRun(run, functools.partial(_open_volume, place, run, settings), str(place))
        for run, place in places.items()
    ]


def _open_volume(place: Location, run: str, settings: DataSettings) -> Tomogram:
    if place.name.lower().endswith(MRC_SUFFIXES):
        if place.local is None:
            raise InputError(f"{place}: an MRC file is read from a local disk only; copy it first")
        tomogram = replace(open_mrc(place.local, settings.voxel_spacing), run=run)
    else:
        image = open_ome_zarr(place, run=run)
        tomogram = Tomogram(image.array, image.voxel_spacing, image.origin, run)
    origin = choose_origin(tomogram.origin, tomogram.voxel_spacing, settings)
    return replace(tomogram, origin=origin)


def _stem(place: Location) -> str:
    """File name without its ending; ``.ome.zarr`` counts as one."""
    name = place.name
    for suffix in (".ome.zarr", ".zarr", *MRC_SUFFIXES):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _check_names(runs: Sequence[InputRun]) -> None:
    problems = []
    first: dict[str, str] = {}
    for item in runs:
        safe_name(item.run, f"{item.path}: run", underscore=True)
        if item.run in first:
            problems.append(f"{item.run} is both {first[item.run]} and {item.path}")
        first.setdefault(item.run, item.path)
    raise_all(problems, InputError, "each run needs its own name; rename or predict separately")

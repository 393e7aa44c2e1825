"""A copick project on disk or in a store: runs, tomograms and picks, read and written.

Layout, below a static root (read only) and an overlay root (written to)::

    ExperimentRuns/<run>/VoxelSpacing<10.000>/<tomo_type>.zarr
    ExperimentRuns/<run>/Picks/<user_id>_<session_id>_<object>.json

Both roots may be the same. Where both have a file, the overlay's counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.closest import closest_hint
from cryo_pick.coordinates import Vector, as_vector
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.choices import choose_origin, choose_runs
from cryo_pick.formats.copick_config import (
    CONFIG_NAME,
    distinct_roots,
    find_config,
    new_config,
    parse_objects,
    read_config,
    with_thresholds,
)
from cryo_pick.formats.copick_layout import CopickLayout
from cryo_pick.formats.copick_picks import (
    ACCEPTED,
    REJECTED,
    PicksName,
    parse_picks,
    picks_json,
    safe_name,
)
from cryo_pick.formats.location import Location, check_inside
from cryo_pick.formats.ome_zarr import open_ome_zarr, write_ome_zarr
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.settings import DataSettings
from cryo_pick.tomogram import Tomogram

log = logging.getLogger(__name__)

OWN_USER = "cryo-pick"
"""User of the picks that this program writes. They are read only where they are asked for."""
SPACING_TOLERANCE = 0.02
"""Largest relative difference between a spacing folder's name and the tomogram's metadata."""


@dataclass(frozen=True)
class CopickProject:
    """A project that was opened; nothing is kept in memory but its objects.

    Attributes
    ----------
    config
        Config file.
    layout
        Its folders.
    types
        Particle types, in the order of their labels.
    other_objects
        Names of objects that are no particles.
    """

    config: Location
    layout: CopickLayout
    types: ParticleTypes
    other_objects: frozenset[str] = frozenset()

    @property
    def runs(self) -> list[str]:
        """Sorted names of all runs of both roots."""
        return self.layout.runs

    def voxel_spacings(self, run: str) -> list[float]:
        """Sorted voxel spacings of a run in Å, as its folders are called (3 decimals)."""
        return self.layout.voxel_spacings(run)

    def tomo_types(self, run: str, spacing: float) -> list[str]:
        """Sorted tomogram types of a run at a voxel spacing (Å, compared to 3 decimals)."""
        return list(self.layout.tomograms(run, spacing))

    def open_tomogram(self, run: str, settings: DataSettings) -> Tomogram:
        """Open the tomogram that `settings` chooses; its voxels are read when sliced.

        Raises
        ------
        InputError
            If the run doesn't have it (the message says what there is), or it can't be opened.
        ConfigError
            If there are several and `settings` doesn't say which, or it gives two origins.
        """
        self._check_run(run)
        spacing, tomo_type = self.layout.choose(run, settings, str(self.config))
        image = open_ome_zarr(self.layout.tomograms(run, spacing)[tomo_type], run=run)
        if max(abs(s / spacing - 1) for s in image.voxel_spacing) > SPACING_TOLERANCE:
            raise InputError(
                f"{image.array.where}: its metadata gives a voxel spacing of "
                f"{image.voxel_spacing} Å, but its folder says {spacing:.3f} Å; "
                "correct the one that is wrong"
            )
        origin = choose_origin(image.origin, image.voxel_spacing, settings)
        return Tomogram(image.array, image.voxel_spacing, origin, run, tomo_type)

    def select_runs(self, settings: DataSettings) -> list[str]:
        """Runs that `settings` chooses; where it names none, those with the tomogram it asks for.

        Raises
        ------
        InputError
            If a named run isn't there, or no run is left.
        """
        runs = choose_runs(self.runs, settings, str(self.config))
        kept = runs
        if settings.runs is None:
            kept = [run for run in runs if self.layout.matching(run, settings)]
            if dropped := sorted(set(runs) - set(kept)):
                log.warning("%s: left out, no such tomogram: %s", self.config, ", ".join(dropped))
        if not kept:
            roots = " and ".join(map(str, self.layout.roots))
            raise InputError(
                f"{self.config}: no run with the tomogram asked for ({_asked(settings)}); "
                f"looked in ExperimentRuns of "
                f"{roots}, found {self.layout.inventory(runs) or 'no tomogram'}"
            )
        return kept

    def read_picks(
        self, run: str, user_id: str | None = None, session_id: str | None = None
    ) -> Picks:
        """Picks of a run, of every object; classes are places in `types`.

        Parameters
        ----------
        user_id, session_id
            None: everybody's but this program's own (:data:`OWN_USER`), every session but those of
            reviews. What a reviewer rejected is read only where its session is named.

        Raises
        ------
        InputError
            If the run isn't there, or a file is broken or of an object that the config lacks.
        """
        self._check_run(run)
        parts: list[Picks] = []
        makers: dict[str, list[str]] = {}
        for name, place in self.layout.picks_files(run).items():
            name, content = _owner(name, place)
            if not _is_wanted(name, user_id, session_id):
                continue
            if name.object_name in self.other_objects:
                continue
            index = self._class_index(name.object_name, place)
            content = place.read_json() if content is None else content
            positions, scores = parse_picks(content, f"run {run!r}: {place}")
            parts.append(Picks(positions, np.full(len(positions), index), scores))
            makers.setdefault(name.object_name, []).append(f"{name.user_id}_{name.session_id}")
        for object_name, several in makers.items():
            if len(several) > 1:
                joined = ", ".join(several)
                log.warning("run %s: picks of %s are joined from %s", run, object_name, joined)
        return Picks.concatenate(parts)

    def write_picks(self, run: str, picks: Picks, user_id: str, session_id: str) -> list[Location]:
        """Write one file per class into the overlay, also for a class without picks.

        Raises
        ------
        InputError
            If a name can't be used or a file can't be written.
        ValueError
            If a class of `picks` is none of the project's.
        """
        safe_name(user_id, "user_id")
        safe_name(session_id, "session_id")
        self.types.check_classes(picks.classes)
        folder = self.picks_folder(run)
        written = []
        for index, kind in enumerate(self.types):
            name = PicksName(user_id, session_id, kind.name)
            of_class = picks.of_class(index)
            text = picks_json(name, run, of_class.positions, of_class.scores)
            written.append(folder / name.file_name)
            written[-1].write_bytes(text.encode())
        return written

    def write_thresholds(self, thresholds: Mapping[str, float | None]) -> None:
        """Write score thresholds into the config, as `metadata.score_threshold` of each object.

        Parameters
        ----------
        thresholds
            By class; None: nothing of it is kept.

        Raises
        ------
        InputError
            If the project has no such class or no config file, or the file can't be written.
        """
        for name in thresholds:
            self._class_index(name, self.config)
        if not self.config.exists():
            raise InputError(f"{self.config}: there is no config to write thresholds into")
        changed = with_thresholds(read_config(self.config), thresholds)
        text = json.dumps(changed, indent=1, ensure_ascii=False, allow_nan=False)
        self.config.write_bytes(f"{text}\n".encode())

    def picks_folder(self, run: str) -> Location:
        """Where picks of a run are written: below the overlay root, there or not.

        Raises
        ------
        InputError
            If the name can't be used, or a link leads out of the root.
        """
        safe_name(run, "run", underscore=True)
        folder = self.layout.run_folders(run)[0] / "Picks"
        check_inside(folder, self.layout.roots[0])
        return folder

    def add_tomogram(
        self,
        run: str,
        volume: NDArray[Any],
        spacing: float | Sequence[float],
        tomo_type: str,
        version: str = "0.4",
        origin: Vector = (0.0, 0.0, 0.0),
    ) -> Path:
        """Write a tomogram into the static root and return its folder.

        Parameters
        ----------
        volume : (d, h, w) array, zyx
        spacing, origin : Å, zyx
            The folder is called after the first spacing.

        Raises
        ------
        InputError
            If a name can't be used, or the static root is not on this machine.
        """
        safe_name(run, "run", underscore=True)
        safe_name(tomo_type, "tomo_type", underscore=True)
        vector = as_vector(spacing, "spacing")
        folder = self.layout.run_folders(run)[-1] / f"VoxelSpacing{vector[0]:.3f}"
        path = (folder / f"{tomo_type}.zarr").local
        if path is None:
            raise InputError(f"{folder}: tomograms are written to local folders only")
        check_inside(folder, self.layout.roots[-1])
        write_ome_zarr(path, volume, vector, version=version, origin=origin)
        return path

    def _check_run(self, run: str) -> None:
        safe_name(run, f"{self.config}: run", underscore=True)
        if not any(folder.is_folder() for folder in self.layout.run_folders(run)):
            raise InputError(f"{self.config}: no run {run!r}; {closest_hint(run, self.runs)}")

    def _class_index(self, name: str, place: Location) -> int:
        if name not in self.types.names:
            hint = closest_hint(name, self.types.names)
            raise InputError(
                f"{place}: picks of {name!r}, an object that {self.config} lacks; {hint}"
            )
        return self.types.index(name)


def open_project(path: str | Path | Location) -> CopickProject:
    """Open a copick project by its config JSON or by the folder that holds it.

    Raises
    ------
    InputError
        If there is no config, it is broken, or neither root is there.
    """
    place = find_config(Location.of(path))
    config = read_config(place)
    types, others = parse_objects(config, str(place))
    return CopickProject(place, CopickLayout(distinct_roots(config, place)), types, others)


def create_project(root: str | Path, name: str, types: ParticleTypes) -> CopickProject:
    """Make the config and the empty roots of a new project in the folder `root`.

    Raises
    ------
    InputError
        If there is a project already.
    """
    folder = Path(root).resolve()
    if (folder / CONFIG_NAME).exists():
        raise InputError(f"{folder}: there is a copick project already; choose another folder")
    for kind in ("overlay", "static"):
        (folder / kind / "ExperimentRuns").mkdir(parents=True, exist_ok=True)
    text = json.dumps(new_config(folder, name, types, OWN_USER), indent=1, ensure_ascii=False)
    write_text_atomic(folder / CONFIG_NAME, text + "\n")
    return open_project(folder)


def _owner(name: PicksName, place: Location) -> tuple[PicksName, Any]:
    """Whose picks a file holds: its name says it, or else its content, which is given too."""
    if name.user_id:
        return name, None
    content = place.read_json()
    fields = content if isinstance(content, dict) else {}
    user, session = (str(fields.get(key) or "") for key in ("user_id", "session_id"))
    return PicksName(user, session, name.object_name), content


def _is_wanted(name: PicksName, user_id: str | None, session_id: str | None) -> bool:
    if session_id is None and name.session_id == REJECTED:
        return False
    if user_id is None and (
        name.user_id == OWN_USER or (session_id, name.session_id) == (None, ACCEPTED)
    ):
        return False
    return user_id in (None, name.user_id) and session_id in (None, name.session_id)


def _asked(settings: DataSettings) -> str:
    """The tomogram that settings choose, in words."""
    spacing = "any" if settings.voxel_spacing is None else f"{settings.voxel_spacing:g} Å"
    return f"voxel spacing {spacing}, type {settings.tomo_type or 'any'}"

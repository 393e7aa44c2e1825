"""Where a copick project keeps its runs, tomograms and picks, below one root or two."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick_picks import PicksName
from cryo_pick.formats.location import Location
from cryo_pick.settings import DataSettings

_SPACING_FOLDER = re.compile(r"VoxelSpacing(\d{1,6}(?:\.\d{1,9})?)", re.ASCII)


@dataclass(frozen=True)
class CopickLayout:
    """The folders of a project; nothing in them is opened.

    Attributes
    ----------
    roots
        Overlay root first; where both have a file, the first counts.
    """

    roots: tuple[Location, ...]

    @property
    def runs(self) -> list[str]:
        """Sorted names of the runs of all roots."""
        names = {n for root in self.roots for n in (root / "ExperimentRuns").folders()}
        return sorted(n for n in names if not n.startswith("."))

    def run_folders(self, run: str) -> list[Location]:
        """A run's folder below each root, whether it is there or not."""
        return [root / "ExperimentRuns" / run for root in self.roots]

    def voxel_spacings(self, run: str) -> list[float]:
        """Sorted voxel spacings of a run in Å, as its folders are called, to 3 decimals."""
        return sorted(self._spacing_folders(run))

    def tomograms(self, run: str, spacing: float) -> dict[str, Location]:
        """OME-Zarr folders of a run at a voxel spacing in Å (to 3 decimals), by tomogram type."""
        found: dict[str, Location] = {}
        for folder in self._spacing_folders(run).get(round(spacing, 3), []):
            for name in folder.folders():
                if name.endswith(".zarr") and not name.startswith("."):
                    found.setdefault(name.removesuffix(".zarr"), folder / name)
        return dict(sorted(found.items()))

    def picks_files(self, run: str) -> dict[PicksName, Location]:
        """Picks files of a run, each once, in the order of their names."""
        found: dict[PicksName, Location] = {}
        for folder in self.run_folders(run):
            for file_name in (folder / "Picks").files():
                name = PicksName.parse(file_name)
                if name is not None:
                    found.setdefault(name, folder / "Picks" / file_name)
        return dict(sorted(found.items(), key=lambda item: item[1].name))

    def matching(self, run: str, settings: DataSettings) -> list[tuple[float, str]]:
        """Spacing and type of the tomograms of a run that fit the settings."""
        wanted = None if settings.voxel_spacing is None else round(settings.voxel_spacing, 3)
        return [
            (spacing, tomo_type)
            for spacing in self.voxel_spacings(run)
            if wanted in (None, spacing)
            for tomo_type in self.tomograms(run, spacing)
            if settings.tomo_type in (None, tomo_type)
        ]

    def choose(self, run: str, settings: DataSettings, where: str) -> tuple[float, str]:
        """Spacing and type of the one tomogram of a run that fits the settings.

        Raises
        ------
        InputError
            If there is none; the message says what there is.
        ConfigError
            If there are several.
        """
        fit = self.matching(run, settings)
        if len(fit) == 1:
            return fit[0]
        asked = (
            f"data.tomo_type={settings.tomo_type or 'any'} and "
            f"data.voxel_spacing={settings.voxel_spacing or 'any'}"
        )
        there = self.inventory([run]) or "none"
        if not fit:
            raise InputError(f"{where}: run {run!r} has no tomogram with {asked}; it has {there}")
        raise ConfigError(
            f"{where}: run {run!r} has several tomograms with {asked}: {there}; "
            "choose with data.tomo_type=NAME and data.voxel_spacing=Å"
        )

    def inventory(self, runs: Iterable[str]) -> str:
        """The tomograms of some runs, in words; empty where there is none."""
        found = {f"{t} at {s:.3f} Å" for run in runs for s, t in self.matching(run, DataSettings())}
        return ", ".join(sorted(found))

    def _spacing_folders(self, run: str) -> dict[float, list[Location]]:
        found: dict[float, list[Location]] = {}
        for folder in self.run_folders(run):
            for name in folder.folders():
                match = _SPACING_FOLDER.fullmatch(name)
                if match and float(match[1]) > 0:
                    found.setdefault(round(float(match[1]), 3), []).append(folder / name)
        return found

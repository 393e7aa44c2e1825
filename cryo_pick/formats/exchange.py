"""The formats of `import` and `export`, as a table; a new one is a module and a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.records import Records
from cryo_pick.objects import ParticleTypes


class FormatModule(Protocol):
    """What the module of a format of picks has."""

    def write(
        self, out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
    ) -> list[Path]:
        """Write the picks, in runs called as the file shall call them; the files."""

    def read(
        self, path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None
    ) -> Records:
        """Read picks, in runs as the file calls them; `single` is the class where it says none."""


@dataclass(frozen=True)
class Format:
    """One format of picks.

    Attributes
    ----------
    name, help
        As the command line shows them.
    module
        In this package.
    spacing, size
        Whether it can't be written without the tomogram's voxel spacing, or size.
    unbinned
        Whether it counts in voxels of the unbinned tomogram, or from its middle.
    frame
        Whether the origin in the volume's file matters, though nothing else does.
    extra
        Whether it holds columns that have no meaning here.
    next
        What to do with the files in the other program; ``{out}`` is where they are.
    """

    name: str
    help: str
    module: str
    spacing: bool = True
    size: bool = False
    unbinned: bool = False
    frame: bool = False
    extra: bool = True
    next: str = ""

    def load(self) -> FormatModule:
        """The module."""
        return cast(FormatModule, import_module(f"cryo_pick.formats.{self.module}"))


FORMATS = (
    Format("csv", "cryo-pick's CSV: the CZII submission and the score, Å", "csv_format", False),
    Format("kaggle", "the bare CZII submission", "kaggle_csv", False, extra=False),
    Format("star", "cryo-pick's STAR, voxels", "star"),
    Format(
        "relion5", "RELION 5: centred Å, particles and import index", "relion5",
        size=True, unbinned=True,
        next="in RELION 5: Import coordinates from {out}/coordinates.star (centred, multiply by 1)",
    ),
    Format("relion4", "RELION 4: unbinned voxels", "relion4", unbinned=True),
    Format(
        "warp", "Warp and M: voxels, X.tomostar", "warp",
        next="WarpTools ts_export_particles --input_star {out} --coords_angpix {spacing}",
    ),
    Format("eman", "EMAN2 info JSON, one per run", "eman", size=True, unbinned=True, extra=False),
    Format(
        "imod", "IMOD point text, one per run", "imod_points", extra=False,
        next="for each run: point2model -values 1 RUN.txt RUN.mod",
    ),
    Format("dynamo", "Dynamo table and tomogram index", "dynamo_table", extra=False),
    Format("chimerax", "ChimeraX markers, one .cmm per run", "chimerax", False, frame=True),
    Format("napari", "napari points CSV, one per run", "napari_csv"),
)  # fmt: skip
"""Of picks; copick projects and volumes have verbs of their own in the command."""


def find_format(name: str, others: tuple[str, ...] = ()) -> Format | None:
    """The format of a name; None for one of `others`.

    Raises
    ------
    ConfigError
        If there is none; the message shows the closest names.
    """
    for item in FORMATS:
        if item.name == name:
            return item
    if name in others:
        return None
    known = [f.name for f in FORMATS] + list(others)
    raise ConfigError(f"no format {name!r}; {closest_hint(name, known)}")


def check_grids(format_: Format, grids: Mapping[str, Grid]) -> None:
    """Refuse to write what a format can't without the voxel spacing or the size.

    Raises
    ------
    InputError
        That says what is missing and how to give it.
    """
    needs: list[Callable[[Grid, str], object]] = []
    needs += [Grid.spacing] if format_.spacing else []
    needs += [Grid.unbinned_size] if format_.size else []
    for run, grid in grids.items():
        for need in needs:
            need(grid, run)

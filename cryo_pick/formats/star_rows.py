"""Rows of a STAR file of particles: which run, which class, which position in Å."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryo_pick.coordinates import Vector, flip_axes, from_centred, index_to_angstrom
from cryo_pick.errors import InputError
from cryo_pick.formats.grid import SIZES, Grid, whole_shape
from cryo_pick.formats.picks_table import parse_number
from cryo_pick.formats.star_text import StarBlock
from cryo_pick.objects import ParticleTypes

COORDINATES = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
"""In voxels of the pixel size column; 0 is the centre of the first voxel."""
CENTERED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
"""In Å from the point at half the tomogram's size, as RELION 5 has it."""
SHIFTS = tuple(f"rlnOrigin{axis}Angst" for axis in "XYZ")
"""Å, taken off the coordinate to get the particle's centre."""
RUN_COLUMNS = ("rlnTomoName", "rlnMicrographName")
PIXEL_COLUMNS = ("rlnTomoTiltSeriesPixelSize", "rlnPixelSize")
"""Å per voxel of the coordinates."""
ORIGINS = tuple(f"cryoPickOrigin{axis}Angst" for axis in "XYZ")
"""Å, position of the centre of the first voxel; 0 where the columns are missing. Not of RELION."""
CLASS_COLUMN = "rlnObjectName"
SCORE_COLUMN = "rlnAutopickFigureOfMerit"
GROUP_COLUMN = "rlnOpticsGroup"
KNOWN = frozenset(
    {CLASS_COLUMN, SCORE_COLUMN, GROUP_COLUMN}.union(
        COORDINATES, CENTERED, SHIFTS, RUN_COLUMNS, PIXEL_COLUMNS, ORIGINS, SIZES
    )
)
"""Columns with a meaning here; all others are kept as they are."""


def find_particles(blocks: Sequence[StarBlock], path: str | Path) -> StarBlock:
    """The block with coordinates.

    Raises
    ------
    InputError
        If there is none; the message says what there is.
    """
    for block in blocks:
        if any(set(names) <= set(block.columns) for names in (COORDINATES, CENTERED)):
            return block
    found = ", ".join(f"data_{b.name} ({len(b.columns)} columns)" for b in blocks[:5])
    raise InputError(
        f"{path}: expected a block with {', '.join(COORDINATES)} or {', '.join(CENTERED)}; "
        f"found {found}"
    )


def run_of(name: str, column: str) -> str:
    """Run that a tomogram or micrograph stands for; Warp's ``X.tomostar`` is run X."""
    if column != RUN_COLUMNS[0]:
        name = name.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".tomostar")


@dataclass(frozen=True)
class RowReader:
    """How to read the rows of a block: where run, pixel size and class are.

    Attributes
    ----------
    centered
        Whether coordinates are RELION 5's.
    run_column
        Of the particles.
    others
        Rows of other blocks, as dictionaries.
    single_class
        Class of every row, where there is no class column.
    pixel_of
        Å per voxel of the coordinates, zyx, by a run's grid; asked where the file doesn't say.
    """

    centered: bool
    run_column: str
    others: tuple[dict[str, str], ...]
    single_class: str | None
    pixel_of: Callable[[Grid, str], Vector]
    _found: dict[tuple[str, ...], float | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        block: StarBlock,
        blocks: Sequence[StarBlock],
        types: ParticleTypes | None,
        path: str | Path,
        single: str | None = None,
        pixel_of: Callable[[Grid, str], Vector] = Grid.pixel,
    ) -> RowReader:
        """Check the columns.

        Raises
        ------
        InputError
            If the run's or the class's column is missing.
        """
        run_column = next((name for name in RUN_COLUMNS if name in block.columns), None)
        if run_column is None:
            raise InputError(f"{path}: data_{block.name}: no column {' or '.join(RUN_COLUMNS)}")
        if types is not None and len(types) == 1:
            single = single or types.names[0]
        if CLASS_COLUMN in block.columns:
            single = None
        elif single is None:
            known = f"there are {len(types)} classes: {', '.join(types.names)}" if types else ""
            raise InputError(
                f"{path}: data_{block.name}: no column {CLASS_COLUMN} that names each particle's "
                f"class, and {known or 'no class is given'}"
            )
        others = [b for b in blocks if b is not block]
        rows = tuple(dict(zip(b.columns, r, strict=True)) for b in others for r in b.rows)
        centered = set(CENTERED) <= set(block.columns)
        return cls(centered, run_column, rows, single, pixel_of)

    def run(self, value: Mapping[str, str]) -> str:
        """Run of a row."""
        return run_of(value[self.run_column], self.run_column)

    def class_name(self, value: Mapping[str, str]) -> str:
        """Class of a row."""
        return self.single_class or value[CLASS_COLUMN]

    def position(self, value: Mapping[str, str], grid: Grid | None = None) -> list[float]:
        """Position of a row in Å, x y z.

        Parameters
        ----------
        grid
            Of the run; it says what the file does not.

        Raises
        ------
        ValueError
            If a number is missing or is none.
        InputError
            If neither the file nor the grid says the pixel size or the tomogram's size.
        """
        run = self.run(value)
        pixel = self._pixel(value, grid, run)
        columns = CENTERED if self.centered else COORDINATES
        place = flip_axes([parse_number(value[name], name) for name in columns])
        shift = flip_axes([parse_number(value.get(name, "0"), name) for name in SHIFTS])
        origin = self._origin(value, grid)
        if self.centered:
            place = from_centred(place, self._size(value, grid, run), pixel, origin)
        else:
            place = index_to_angstrom(place, pixel, origin)
        xyz: list[float] = flip_axes(place - shift).tolist()
        return xyz

    def _pixel(self, value: Mapping[str, str], grid: Grid | None, run: str) -> Vector:
        """Å per voxel, zyx, of the coordinates, or of the unbinned tomogram's size."""
        found = self._lookup(value, PIXEL_COLUMNS)
        if found is None:
            if grid is None:
                raise ValueError(_unknown(PIXEL_COLUMNS))
            return self.pixel_of(grid, run)
        if not found > 0:
            raise ValueError(f"expected a pixel size above 0 Å, but got {found:g}")
        return (found, found, found)

    def _size(self, value: Mapping[str, str], grid: Grid | None, run: str) -> Sequence[int]:
        """Shape of the unbinned tomogram in voxels, zyx."""
        found = [self._lookup(value, (name,)) for name in SIZES]
        known = [n for n in found if n is not None]
        if len(known) == len(SIZES):
            return whole_shape(known)
        if grid is None:
            raise ValueError(_unknown((SIZES[-1],)))
        return grid.unbinned_size(run)

    def _origin(self, value: Mapping[str, str], grid: Grid | None) -> Vector:
        """Å, zyx, of the centre of the first voxel."""
        if grid is not None and not any(name in value for name in ORIGINS):
            return grid.origin
        x, y, z = (parse_number(value.get(name, "0"), name) for name in ORIGINS)
        return z, y, x

    def _lookup(self, value: Mapping[str, str], names: Sequence[str]) -> float | None:
        """A number of a row, or else of the row of another block that belongs to it."""
        keys = (self.run_column, GROUP_COLUMN)
        for name in names:
            if name in value:
                return parse_number(value[name], name)
        known = (*names, *(value.get(key, "") for key in keys))
        if known in self._found:
            return self._found[known]
        for row in self.others:
            if all(row[key] == value[key] for key in keys if key in row and key in value):
                for name in names:
                    if name in row:
                        return self._found.setdefault(known, parse_number(row[name], name))
        return self._found.setdefault(known, None)


def _unknown(names: Sequence[str]) -> str:
    return (
        f"no column {' or '.join(names)} for this particle, in its block or in another of the "
        "file (tomograms, optics); without it the position in Å is unknown"
    )

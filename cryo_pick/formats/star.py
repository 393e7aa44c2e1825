"""Picks as a RELION STAR file: ``data_particles`` with coordinates in voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryo_pick.coordinates import Vector, angstrom_to_index, flip_axes
from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.picks_table import PicksTable, parse_number, read_text
from cryo_pick.formats.star_text import StarBlock, format_loop, parse_star
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

COORDINATES = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
"""In voxels of the pixel size column; 0 is the centre of the first voxel."""
CENTERED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
"""In Å from the point at half the tomogram's size, as RELION 5 has it."""
SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
RUN_COLUMNS = ("rlnTomoName", "rlnMicrographName")
PIXEL_COLUMNS = ("rlnTomoTiltSeriesPixelSize", "rlnPixelSize")
"""Å per voxel of the coordinates."""
ORIGINS = tuple(f"cryoPickOrigin{axis}Angst" for axis in "XYZ")
"""Å, position of the centre of the first voxel; 0 where the columns are missing. Not of RELION."""
CLASS_COLUMN = "rlnObjectName"
SCORE_COLUMN = "rlnAutopickFigureOfMerit"

_COMMENT = """\
# Picks of cryo-pick.
# rlnCoordinateX/Y/Z are in voxels of rlnTomoTiltSeriesPixelSize Angstrom; 0 is the centre of the
# first voxel. Position in Angstrom = coordinate * pixel size, plus cryoPickOrigin where given.
# rlnObjectName is the class, rlnAutopickFigureOfMerit the score from 0 to 1.

"""


def write_star(
    path: str | Path,
    picks_by_run: Mapping[str, Picks],
    types: ParticleTypes,
    voxel_spacing: float | Mapping[str, float],
    origin: Vector | Mapping[str, Vector] = (0.0, 0.0, 0.0),
) -> None:
    """Write picks of all runs; coordinates to 0.000001 voxel, scores to 6 decimals.

    Parameters
    ----------
    voxel_spacing
        Å per voxel, for all runs or by run; the coordinates' unit.
    origin : Å, zyx
        Of the tomograms, for all runs or by run; kept in columns of its own unless it is 0.

    Raises
    ------
    ValueError
        If a class is none of `types`, a spacing isn't above 0, or a run name can't be written.
    """
    rows: list[list[str]] = []
    origins = {run: origin[run] if isinstance(origin, Mapping) else origin for run in picks_by_run}
    with_origin = any(any(o) for o in origins.values())
    for run, picks in picks_by_run.items():
        types.check_classes(picks.classes)
        pixel = float(voxel_spacing[run] if isinstance(voxel_spacing, Mapping) else voxel_spacing)
        if not 0 < pixel < 1e6:
            raise ValueError(f"Expected the spacing of {run} to be above 0 Å, but got {pixel}.")
        xyz = flip_axes(angstrom_to_index(picks.positions, (pixel,) * 3, origins[run]))
        shift = [repr(float(o)) for o in origins[run][::-1]] if with_origin else []
        for index, point, score in zip(picks.classes, xyz, picks.scores, strict=True):
            place = [f"{value:.6f}" for value in point]
            name = types[int(index)].name
            rows.append([run, *place, repr(pixel), name, f"{score:.6f}", *shift])
    columns = ["rlnTomoName", *COORDINATES, PIXEL_COLUMNS[0], CLASS_COLUMN, SCORE_COLUMN]
    columns += ORIGINS if with_origin else ()
    write_text_atomic(path, _COMMENT + format_loop("particles", columns, rows))


def read_star(path: str | Path, types: ParticleTypes) -> dict[str, Picks]:
    """Read picks by run.

    The first block with coordinates counts. Pixel size and tomogram size may also stand in another
    block, by tomogram, by optics group or for all. Other columns are ignored.

    Parameters
    ----------
    types
        Classes that may occur; the class column may be missing where there is only one.

    Returns
    -------
    dict
        Picks by run, in the order of the file.

    Raises
    ------
    InputError
        If a column is missing or a row can't be used; the first ten problems are listed.
    """
    try:
        blocks = parse_star(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: no STAR file, or a damaged one: {error}") from error
    particles = _particles(blocks, path)
    reader = _RowReader.of(particles, blocks, types, path)
    table = PicksTable(str(path), types)
    for line, row in zip(particles.lines, particles.rows, strict=True):
        value = dict(zip(particles.columns, row, strict=True))
        try:
            xyz = reader.position(value)
            score = parse_number(value.get(SCORE_COLUMN, "1"), SCORE_COLUMN)
        except ValueError as error:
            table.problem(line, str(error))
        else:
            table.add(line, reader.run(value), reader.class_name(value), xyz, score)
    return table.picks()


def _particles(blocks: Sequence[StarBlock], path: str | Path) -> StarBlock:
    for block in blocks:
        if any(set(names) <= set(block.columns) for names in (COORDINATES, CENTERED)):
            return block
    found = ", ".join(f"data_{b.name} ({len(b.columns)} columns)" for b in blocks[:5])
    raise InputError(
        f"{path}: expected a block with {', '.join(COORDINATES)} or {', '.join(CENTERED)}; "
        f"found {found}"
    )


@dataclass(frozen=True)
class _RowReader:
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
    """

    centered: bool
    run_column: str
    others: tuple[dict[str, str], ...]
    single_class: str | None
    _found: dict[tuple[str, ...], float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, block: StarBlock, blocks: Sequence[StarBlock], types: ParticleTypes, path: str | Path
    ) -> _RowReader:
        """Check the columns.

        Raises
        ------
        InputError
            If the run's or the class's column is missing.
        """
        run_column = next((name for name in RUN_COLUMNS if name in block.columns), None)
        if run_column is None:
            raise InputError(f"{path}: data_{block.name}: no column {' or '.join(RUN_COLUMNS)}")
        if CLASS_COLUMN not in block.columns and len(types) != 1:
            raise InputError(
                f"{path}: data_{block.name}: no column {CLASS_COLUMN} that names each particle's "
                f"class, and there are {len(types)} classes: {', '.join(types.names)}"
            )
        others = [b for b in blocks if b is not block]
        rows = tuple(dict(zip(b.columns, r, strict=True)) for b in others for r in b.rows)
        single = None if CLASS_COLUMN in block.columns else types.names[0]
        return cls(not set(COORDINATES) <= set(block.columns), run_column, rows, single)

    def run(self, value: Mapping[str, str]) -> str:
        """Run of a row; Warp's ``X.tomostar`` is run X."""
        name = value[self.run_column]
        if self.run_column != RUN_COLUMNS[0]:
            name = name.replace("\\", "/").rpartition("/")[2]
        return name.removesuffix(".tomostar")

    def class_name(self, value: Mapping[str, str]) -> str:
        """Class of a row."""
        return self.single_class or value[CLASS_COLUMN]

    def position(self, value: Mapping[str, str]) -> list[float]:
        """Position of a row in Å, x y z.

        Raises
        ------
        ValueError
            If a number is missing or is none.
        """
        pixel = self._lookup(value, PIXEL_COLUMNS)
        if not pixel > 0:
            raise ValueError(f"expected a pixel size above 0 Å, but got {pixel:g}")
        if not self.centered:
            origin = [parse_number(value.get(name, "0"), name) for name in ORIGINS]
            index = [parse_number(value[name], name) for name in COORDINATES]
            return [i * pixel + o for i, o in zip(index, origin, strict=True)]
        sizes = [self._lookup(value, (name,)) for name in SIZES]
        centered = [parse_number(value[name], name) for name in CENTERED]
        return [c + size / 2 * pixel for c, size in zip(centered, sizes, strict=True)]

    def _lookup(self, value: Mapping[str, str], names: Sequence[str]) -> float:
        """A number of a row, or else of the row of another block that belongs to it."""
        keys = (self.run_column, "rlnOpticsGroup")
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
        raise ValueError(
            f"no column {' or '.join(names)} for this particle, in its block or in another of the "
            "file (tomograms, optics); without it the position in Å is unknown"
        )

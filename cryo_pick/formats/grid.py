"""The grid of a tomogram without its voxels: what it takes to write a pick in voxels or centred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cryo_pick.coordinates import Vector
from cryo_pick.errors import InputError
from cryo_pick.formats.choices import choose_origin
from cryo_pick.formats.picks_table import parse_number, read_text
from cryo_pick.formats.star_text import parse_star
from cryo_pick.settings import DataSettings
from cryo_pick.tomogram import Tomogram

Shape = tuple[int, int, int]
SIZES = ("rlnTomoSizeZ", "rlnTomoSizeY", "rlnTomoSizeX")
PIXEL = "rlnTomoTiltSeriesPixelSize"
HOW = "give --tomograms PROJECT_OR_VOLUMES, or --size Z Y X with --voxel-spacing A"


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a tomogram lie; None for what is not known, which is never guessed.

    Attributes
    ----------
    shape : voxels, zyx
        Of the tomogram that was picked.
    voxel_spacing : Å, zyx
    origin : Å, zyx
        Position of the centre of voxel 0, in the Å that picks count in.
    file_origin : Å, zyx
        The same as the volume's file has it, which is where a viewer puts it.
    unbinned_shape : voxels, zyx
        Of the tomogram without binning, as RELION's tomograms.star says.
    unbinned_pixel : Å
    """

    shape: Shape | None = None
    voxel_spacing: Vector | None = None
    origin: Vector = (0.0, 0.0, 0.0)
    file_origin: Vector = (0.0, 0.0, 0.0)
    unbinned_shape: Shape | None = None
    unbinned_pixel: float | None = None

    def spacing(self, run: str) -> Vector:
        """Voxel spacing in Å, zyx.

        Raises
        ------
        InputError
            If it is not known.
        """
        if self.voxel_spacing is None:
            raise InputError(f"run {run!r}: this format needs the voxel spacing; {HOW}")
        return self.voxel_spacing

    def size(self, run: str) -> Shape:
        """Shape of the picked tomogram in voxels, zyx.

        Raises
        ------
        InputError
            If it is not known.
        """
        if self.shape is None:
            raise InputError(f"run {run!r}: this format needs the tomogram's size; {HOW}")
        return self.shape

    def pixel(self, run: str) -> Vector:
        """Å per unbinned voxel, zyx: the picked tomogram's where no unbinned one is known.

        Raises
        ------
        InputError
            If neither is known.
        """
        if self.unbinned_pixel is not None:
            return (self.unbinned_pixel,) * 3
        return self.spacing(run)

    def unbinned_size(self, run: str) -> Shape:
        """Unbinned shape in voxels, zyx: the picked tomogram's where no unbinned one is known.

        Raises
        ------
        InputError
            If neither is known.
        """
        return self.unbinned_shape or self.size(run)

    @property
    def residual(self) -> Vector | None:
        """Å, zyx, from the unbinned tomogram's middle to the picked one's; None: not known."""
        if None in (self.shape, self.voxel_spacing, self.unbinned_shape, self.unbinned_pixel):
            return None
        own = np.multiply(self.shape, self.voxel_spacing)  # type: ignore[arg-type]
        whole = np.multiply(self.unbinned_shape, self.unbinned_pixel)  # type: ignore[arg-type]
        z, y, x = ((own - whole) / 2).tolist()
        return z, y, x


GridOf = Callable[[str], Grid | None]
"""Grid of a run as a file names it; None: a run that is left out."""


def grid_of_tomogram(tomogram: Tomogram, settings: DataSettings) -> Grid:
    """Grid of a tomogram whose origin is the file's; the settings may set another origin.

    Raises
    ------
    ConfigError
        If the settings give two origins.
    """
    origin = choose_origin(tomogram.origin, tomogram.voxel_spacing, settings)
    return Grid(tomogram.shape, tomogram.voxel_spacing, origin, tomogram.origin)


def read_unbinned(path: str | Path) -> dict[str, tuple[Shape, float]]:
    """Shape (zyx) and pixel size (Å) of the unbinned tomograms in a tomograms.star, by name.

    Raises
    ------
    InputError
        If the file is none.
    """
    try:
        blocks = parse_star(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: no STAR file, or a damaged one: {error}") from error
    wanted = ("rlnTomoName", *SIZES, PIXEL)
    block = next((b for b in blocks if set(wanted) <= set(b.columns)), None)
    if block is None:
        raise InputError(
            f"{path}: expected RELION's tomograms.star, a block with {', '.join(wanted)}"
        )
    found = {}
    columns = zip(*(block.column(c) for c in wanted), block.lines, strict=True)
    for name, z, y, x, pixel, line in columns:
        try:
            size = [parse_number(v, c) for v, c in zip((z, y, x), SIZES, strict=True)]
            found[name] = whole_shape(size), parse_number(pixel, PIXEL)
            if not found[name][1] > 0:
                raise ValueError(f"field `{PIXEL}` must be above 0 Å, but is {pixel}")
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}") from error
    return found


def whole_shape(size: Sequence[float]) -> Shape:
    """Three counts of voxels, zyx.

    Raises
    ------
    ValueError
        If they aren't whole numbers above 0.
    """
    if len(size) != 3 or any(n != int(n) or n < 1 for n in size):
        raise ValueError(f"expected a tomogram size of whole voxels, but got {list(size)}")
    z, y, x = (int(n) for n in size)
    return z, y, x


def with_unbinned(grid: Grid, unbinned: tuple[Shape, float] | None) -> Grid:
    """The grid with what is known of the unbinned tomogram."""
    if unbinned is None:
        return grid
    return replace(grid, unbinned_shape=unbinned[0], unbinned_pixel=unbinned[1])

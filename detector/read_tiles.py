"""Tiles of a volume, each read and normalised while the network works on the one before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.buffers import Buffers
from cryo_pick.errors import InputError
from cryo_pick.normalized import NormalizedVolume, is_in_memory
from cryo_pick.threads import shares, side_by_side
from detector.tile_plan import TilePlan
from detector.tiles import Shape

Normalise = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def tiles_read_ahead(
    volume: Any, plan: TilePlan, normalise: Normalise | None, buffers: Buffers | None = None
) -> Generator[tuple[tuple[int, int, int], NDArray[np.float32]]]:
    """Every tile with its place in the grid, z slowest, one read ahead by a second thread.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    plan
        For this volume.
    normalise
        As for :func:`read_tile`.
    buffers
        Whose memory tiles take; None: their own.

    Yields
    ------
    place
        Of the tile along z, y, x in `plan.starts`.
    tile : (d, h, w) float32 array
        Overwritten once the next one is taken.

    Raises
    ------
    InputError
        If a voxel is NaN or infinite.
    """
    z_range, y_range, x_range = (range(len(starts)) for starts in plan.starts)
    grid = list(itertools.product(z_range, y_range, x_range))

    # By turns: a new array for each tile costs as much time as reading it.
    memory = Buffers() if buffers is None else buffers
    turns = itertools.cycle(memory.take(f"tile {i}", plan.tile) for i in range(min(2, len(grid))))

    def read(place: tuple[int, int, int]) -> NDArray[np.float32]:
        z, y, x = (starts[i] for starts, i in zip(plan.starts, place, strict=True))
        return read_tile(volume, (z, y, x), plan.tile, normalise, next(turns))

    with ThreadPoolExecutor(1, "read-tile") as reader:
        coming = reader.submit(read, grid[0])
        for place, following in itertools.zip_longest(grid, grid[1:]):
            tile = coming.result()
            if following is not None:
                coming = reader.submit(read, following)
            yield place, tile


def read_tile(
    volume: Any,
    start: Shape,
    tile: Shape,
    normalise: Normalise | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """One tile, mirrored at the far ends of the volume where it reaches past them.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    start, tile : (3,), voxels, zyx
    normalise
        Applied before padding.
    out : float32 array of shape `tile`
        Where the voxels go; None: to a new array.

    Returns
    -------
    (d, h, w) float32 array of shape `tile`

    Raises
    ------
    InputError
        If a voxel is NaN or infinite.
    """
    result = np.empty(tile, np.float32) if out is None else out
    stop = [min(s + t, n) for s, t, n in zip(start, tile, volume.shape, strict=True)]
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    inside = result[tuple(slice(b - a) for a, b in zip(start, stop, strict=True))]
    z = box[0].start

    def read(planes: slice) -> int:
        part = (slice(z + planes.start, z + planes.stop), *box[1:])
        return _read(volume, part, inside[planes])

    # In pieces only where none costs more to read for itself.
    pieces = shares(len(inside)) if is_in_memory(volume) else [slice(0, len(inside))]
    n_bad = sum(side_by_side(read, pieces))
    if n_bad:
        raise InputError(
            f"{n_bad} of {inside.size} voxels from z, y, x = {tuple(start)} up are NaN or infinite"
        )
    if normalise is not None:
        inside[...] = normalise(inside)
    _mirror(result, inside.shape)
    return result


def _read(volume: Any, box: tuple[slice, ...], out: NDArray[np.float32]) -> int:
    """Put a box of a volume into `out`; how many of its voxels are NaN or infinite."""
    if isinstance(volume, NormalizedVolume):
        volume.read_into(box, out)
        return 0  # it counts them itself
    out[...] = volume[box]
    return sum(plane.size - int(np.count_nonzero(np.isfinite(plane))) for plane in out)


def _mirror(tile: NDArray[np.float32], inside: tuple[int, ...]) -> None:
    """Fill a tile beyond its first voxels, in place, as :func:`numpy.pad` reflects them."""
    for axis, (n, size) in enumerate(zip(inside, tile.shape, strict=True)):
        lines = np.moveaxis(tile, axis, 0)
        sources = np.arange(n, size) % max(2 * n - 2, 1)
        lines[n:] = lines[np.minimum(sources, 2 * n - 2 - sources)]

"""Tiles: where they start, how large they may be, how what they say is blended.

The tiles of a volume form a grid, so everything is worked out per axis: the starts, and the
blending weights, which are normalised to a sum of exactly one tile's worth at every cell before
any network runs. Lengths are voxels unless a name says cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]

SHARPNESS = 8
"""Of blending: nearly the tile that sees more, without a step (docs/decisions/tiles.md)."""
MAX_OVERLAP = 32
"""Voxels. A wider ramp costs more evaluations than the borders it repairs are worth."""


def round_up(length: int, step: int) -> int:
    """The smallest multiple of `step` that is `length` or more."""
    return -(-length // step) * step


def middle_box(
    shape: Sequence[int], most: Sequence[int], multiples: Sequence[int]
) -> tuple[slice, slice, slice] | None:
    """The middle of a volume, of edges in multiples; None where it is shorter than one of them.

    Parameters
    ----------
    shape, most, multiples
        Voxels, zyx.
    """
    edges = [min(n, m) // k * k for n, m, k in zip(shape, most, multiples, strict=True)]
    if not all(edges):
        return None
    z, y, x = (slice((n - e) // 2, (n - e) // 2 + e) for n, e in zip(shape, edges, strict=True))
    return z, y, x


def tile_starts(length: int, tile: int, overlap: int, stride: int) -> list[int]:
    """Starts of the tiles along one axis.

    The axis is padded at its far end to a multiple of `stride`, and to one tile if it is shorter.
    As few tiles as `overlap` allows are spread evenly over it: the first starts at 0, the last one
    ends with the padded axis, every start is a multiple of `stride`, and neighbours share at
    least `overlap` voxels (at most all but `stride`).

    Parameters
    ----------
    length, tile, overlap, stride
        `tile` is a multiple of `stride`.

    Raises
    ------
    ValueError
        If a length isn't positive, the overlap is negative or not smaller than the tile, or the
        tile is no multiple of the stride.
    """
    if min(length, tile, stride) < 1 or tile % stride:
        raise ValueError(
            f"Expected `length`, `tile`, `stride` above 0 and `tile` a multiple of `stride`, "
            f"but got {length}, {tile}, {stride}."
        )
    if not 0 <= overlap < tile:
        raise ValueError(f"Expected `overlap` from 0 to below {tile}, but got {overlap}.")
    free = round_up(max(length, tile), stride) - tile
    step = max(stride, (tile - overlap) // stride * stride)
    n_gaps = -(-free // step)
    return [i * (free // stride) // max(n_gaps, 1) * stride for i in range(n_gaps + 1)]


def tile_slices(
    shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int], stride: int
) -> list[tuple[slice, slice, slice]]:
    """Every tile of a volume, z slowest; slices may reach past the far end, where padding goes.

    Raises
    ------
    ValueError
        As :func:`tile_starts`.
    """
    starts = (tile_starts(n, t, o, stride) for n, t, o in zip(shape, tile, overlap, strict=True))
    slices = ([slice(s, s + t) for s in axis] for axis, t in zip(starts, tile, strict=True))
    return [(z, y, x) for z, y, x in itertools.product(*slices)]


def blend_weights(starts: Sequence[int], tile: int) -> NDArray[np.float32]:
    """How much each tile counts along one axis.

    Every tile has a tent that rises from its borders over the length it shares with a neighbour,
    to the power of :data:`SHARPNESS`, so that a cell near a border, where the network saw zeros
    instead of the volume, hardly counts where another tile saw more. The tents are divided by
    their true sum: at every cell the weights of all tiles add up to 1.

    Parameters
    ----------
    starts : (n,), cells, rising, without gaps between the tiles
    tile
        Length in cells.

    Returns
    -------
    (n, tile) float32 array, above 0

    Raises
    ------
    ValueError
        If a tile doesn't touch the next.
    """
    gaps = np.diff(starts)
    if len(gaps) and (gaps.min() < 0 or gaps.max() > tile):
        raise ValueError(f"Expected rising starts at most {tile} cells apart, but got {starts}.")
    shared = tile - int(gaps.min()) if len(gaps) else 0
    ramp = min(max(shared, 1), -(-tile // 2))
    place = np.arange(tile) + 0.5
    tent = np.minimum(1.0, np.minimum(place, tile - place) / ramp) ** SHARPNESS
    total = np.zeros(starts[-1] + tile)
    for start in starts:
        total[start : start + tile] += tent
    return np.stack([tent / total[s : s + tile] for s in starts]).astype(np.float32)


def default_overlap(receptive_field: Sequence[int], multiple: int | Shape) -> Shape:
    """Overlap along z, y, x: the effective receptive field, up to :data:`MAX_OVERLAP`.

    Two neighbours that share that much weigh equally where both saw half a field of true context.

    Parameters
    ----------
    receptive_field : (3,), voxels, zyx
    multiple
        The result is a multiple of it; one number or one for each axis.
    """
    z, y, x = (
        round_up(min(field, MAX_OVERLAP), m) if field > 1 else 0
        for field, m in zip(receptive_field, three(multiple), strict=True)
    )
    return z, y, x


def largest_tile(
    shape: Sequence[int],
    overlap: Sequence[int],
    multiple: int | Shape,
    memory: float,
    bytes_per_voxel: float,
    bytes_per_plane: float = 0.0,
    depth: int | None = None,
) -> Shape | None:
    """The tile with which the fewest voxels are evaluated in the memory there is.

    Along each axis the volume is cut into 1, 2, 3, ... equal tiles; of all combinations that fit,
    the one whose tiles sum to the least volume wins, then the one that needs the least memory.
    A tile is at least twice as long as what it shares, or as two multiples.

    Parameters
    ----------
    shape, overlap : (3,), voxels, zyx
    multiple
        Edges are multiples of it; one number or one for each axis.
    memory
        Bytes.
    bytes_per_voxel
        What the network holds at its fullest moment, per voxel of the tile.
    bytes_per_plane
        What is held beside it for each plane of a tile's depth: the slab that tiles add to.
    depth
        Of the tile, where it is given, less than the volume's and more than what is shared.

    Returns
    -------
    (d, h, w), or None if nothing fits
    """
    cuts = [_equal_cuts(n, o, m) for n, o, m in zip(shape, overlap, three(multiple), strict=True)]
    if depth is not None:
        n_tiles = len(tile_starts(shape[0], depth, overlap[0], 1))
        cuts[0] = (np.array([n_tiles]), np.array([depth]))
    counts, tiles = zip(*cuts, strict=True)
    tz, ty, tx = np.ix_(*tiles)
    needed = bytes_per_voxel * tz * ty * tx + bytes_per_plane * tz
    nz, ny, nx = np.ix_(*counts)
    evaluated = np.where(needed <= memory, nz * tz * ny * ty * nx * tx * 1.0, np.inf)
    if not np.isfinite(evaluated).any():
        return None
    best = np.lexsort((needed.ravel(), evaluated.ravel()))[0]
    z, y, x = np.unravel_index(best, evaluated.shape)
    return int(tiles[0][z]), int(tiles[1][y]), int(tiles[2][x])


def three(value: int | Shape) -> Shape:
    """One number for each axis."""
    return (value, value, value) if isinstance(value, int) else value


def _equal_cuts(
    length: int, overlap: int, multiple: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of equal tiles along an axis and the tile length of each, largest tile first."""
    least = max(2 * multiple, round_up(2 * overlap, multiple))
    cuts = {max(round_up(length, multiple), 2 * multiple): 1}
    for n in itertools.count(2):
        tile = round_up(-(-(length + (n - 1) * overlap) // n), multiple)
        if tile < least or (tile == least and least in cuts):
            break
        cuts.setdefault(tile, n)
    return np.array(list(cuts.values()), np.int64), np.array(list(cuts), np.int64)

"""Slices of a tomogram as small grey pictures: particles dark, extremes clipped.

A slice is the mean of a thin slab, since a single plane of a tomogram is mostly noise. Pictures
are eight-bit grey PNG, written here, so that a page of hundreds of them stays small.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram

CLIP_PERCENT = 0.5
"""Share of the darkest and of the brightest pixels of a picture that is clipped."""
SLAB = 50.0
"""Å, thickness of the slab that is averaged for a slice of a whole tomogram."""
REACH = 0.5
"""A particle is drawn on a slice when its centre is within this share of its radius of it."""
MAX_SAMPLED = 40
"""Picks that tell whether particles are dark or bright."""
AXES = "zyx"


@dataclass(frozen=True, eq=False)
class Slice:
    """A grey picture of one plane of a tomogram.

    Attributes
    ----------
    picture : (rows, columns) uint8 array
        Row and column are the two axes that are left, in the order z y x.
    axis
        0, 1 or 2: across the plane.
    index
        Of the plane along `axis`, voxels.
    """

    picture: NDArray[np.uint8]
    axis: int
    index: int


def take_slice(tomogram: Tomogram, axis: int, index: int, sign: float) -> Slice:
    """Mean of a slab around a plane, as a grey picture.

    Only the slab is read, so a lazy volume stays on its disk.

    Parameters
    ----------
    tomogram
    axis, index
        The plane: 0 and a z index, and so on.
    sign
        1 where particles are dark in the volume, -1 where they are bright.
    """
    half = int(SLAB / 2 / tomogram.voxel_spacing[axis])
    low, high = max(0, index - half), min(tomogram.shape[axis], index + half + 1)
    where = [slice(None)] * 3
    where[axis] = slice(low, high)
    slab = np.asarray(tomogram.volume[tuple(where)], np.float32)
    return Slice(to_grey(sign * slab.mean(axis=axis)), axis, index)


def particle_sign(tomogram: Tomogram, picks: Picks, types: ParticleTypes) -> float:
    """1 where particles are darker than what surrounds them, -1 where they are brighter.

    Each of up to `MAX_SAMPLED` picks is compared with its own surroundings, twice as far out.

    Returns
    -------
    float
        1.0 as in a raw tomogram, where there are no picks.
    """
    chosen = np.linspace(0, len(picks) - 1, min(len(picks), MAX_SAMPLED)).astype(int)
    contrast = [
        _contrast(tomogram, position, types[int(k)].radius)
        for position, k in zip(picks.positions[chosen], picks.classes[chosen], strict=True)
    ]
    known = np.array([c for c in contrast if c is not None])
    return -1.0 if len(known) and float(np.median(known)) > 0 else 1.0


def on_slice(
    picks: Picks, types: ParticleTypes, tomogram: Tomogram, axis: int, index: int
) -> NDArray[np.bool_]:
    """Which picks are drawn on a slice: those whose centre is near its plane, (n,) bool array."""
    plane = tomogram.origin[axis] + index * tomogram.voxel_spacing[axis]
    reach = REACH * types.radii[picks.classes]
    return np.asarray(np.abs(picks.positions[:, axis] - plane) <= reach)


def busiest_index(picks: Picks, types: ParticleTypes, tomogram: Tomogram, axis: int) -> int:
    """The plane that shows the most picks, nearest to the middle; the middle without picks."""
    n = tomogram.shape[axis]
    # The outer eighth of a tomogram is often empty or blurred, so a busiest plane there is chance.
    planes = np.arange(n // 8, max(n - n // 8, n // 8 + 1))
    if not len(picks):
        return n // 2
    shown = [int(on_slice(picks, types, tomogram, axis, int(i)).sum()) for i in planes]
    best = planes[np.asarray(shown) == max(shown)]
    return int(best[np.abs(best - n // 2).argmin()])


def to_grey(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Stretch values to 0 to 255, the extremes clipped; a constant picture is mid-grey."""
    low, high = np.percentile(values, [CLIP_PERCENT, 100 - CLIP_PERCENT])
    if not high > low:
        return np.full(values.shape, 128, np.uint8)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5, np.uint8)


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """An eight-bit grey PNG (PNG specification, 2nd edition).

    Parameters
    ----------
    picture : (rows, columns) uint8 array

    Raises
    ------
    ValueError
        If `picture` isn't two-dimensional and of uint8.
    """
    if picture.ndim != 2 or picture.dtype != np.uint8:
        raise ValueError(
            f"Expected argument `picture` to be (rows, columns) of uint8, "
            f"but got {picture.shape} of {picture.dtype}."
        )
    rows, columns = picture.shape
    # Filter 1 stores each pixel less its left neighbour, which compresses smooth pictures better.
    left = np.pad(picture, ((0, 0), (1, 0)))[:, :-1]
    lines = np.concatenate([np.ones((rows, 1), np.uint8), picture - left], axis=1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def data_url(picture: NDArray[np.uint8]) -> str:
    """A picture as a data URL, to stand in a page."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture)).decode("ascii")


def _contrast(tomogram: Tomogram, position: NDArray[np.float64], radius: float) -> float | None:
    """Mean of the cube inside a particle less that of the cube around it; None outside."""
    index = angstrom_to_index(position, tomogram.voxel_spacing, tomogram.origin)
    half = 1.5 * radius / np.asarray(tomogram.voxel_spacing)
    low = np.clip(np.ceil(index - half), 0, None).astype(int)
    high = np.minimum(np.floor(index + half).astype(int) + 1, tomogram.shape)
    if np.any(high <= low):
        return None
    box = tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    around = np.asarray(tomogram.volume[box], np.float64)
    line = [np.arange(a, b) - i for a, b, i in zip(low, high, index, strict=True)]
    inside = np.ix_(*(np.abs(a) <= h / 3 for a, h in zip(line, half, strict=True)))
    within = around[inside]
    return float(within.mean() - around.mean()) if within.size else None

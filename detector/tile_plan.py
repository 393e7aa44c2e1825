"""Which tiles cover a volume, given the networks and the memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryo_pick.errors import ConfigError
from cryo_pick.memory import parse_memory
from detector.engine import Engine
from detector.settings import InferSettings
from detector.tiles import Shape, default_overlap, largest_tile, round_up, three, tile_starts
from detector.views import turns_sideways, views_of

logger = logging.getLogger(__name__)

_PLANNED = 0.6
"""Share of the memory that tiles may take; the rest is for what is not counted, such as what an
allocator holds back (benchmarks/memory.py)."""
_WORTH = 1.1
"""The slab goes to the disk where that saves a tenth of the evaluations."""


@dataclass(frozen=True)
class TilePlan:
    """The tiles of a volume: a grid.

    Attributes
    ----------
    shape : (d, h, w), voxels
        Of the volume.
    tile : (d, h, w), voxels
    starts
        Along z, y, x, voxels; every combination is a tile.
    stride
        Voxels per heatmap cell.
    on_disk
        Whether the slab that tiles add to lies in a file.
    """

    shape: Shape
    tile: Shape
    starts: tuple[list[int], list[int], list[int]]
    stride: int
    on_disk: bool = False

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.starts[0]) * len(self.starts[1]) * len(self.starts[2])

    @property
    def cells(self) -> Shape:
        """Shape of the heatmap; a cell that is only partly inside counts."""
        d, h, w = (-(-n // self.stride) for n in self.shape)
        return d, h, w

    @property
    def evaluations(self) -> float:
        """How often a voxel is evaluated on average."""
        return self.n_tiles * float(np.prod(self.tile)) / float(np.prod(self.shape))


def plan_tiles(
    shape: Shape,
    engines: Sequence[Engine],
    settings: InferSettings,
    n_classes: int,
    output_stride: int,
) -> TilePlan:
    """The tiles that the settings ask for, or the best that their memory allows.

    Edges are rounded up to what every network can take, and a tile is never longer than the volume
    needs. Starts are aligned to that too, so that where tiles meet both see the same cells; to the
    output stride where an overlap or a depth is asked for, which need not be such a multiple.

    Parameters
    ----------
    shape : (d, h, w), voxels
    engines
        At least one.
    settings
        `tile`, `overlap`, `depth`, `memory` and `views` are read; `depth` if there is no `tile`.
    n_classes
        k.
    output_stride
        Voxels per heatmap cell.

    Raises
    ------
    ConfigError
        If the tile or the overlap can't be used, or nothing fits in the memory.
    """
    for name, value, low in (("tile", settings.tile, 1), ("overlap", settings.overlap, 0)):
        if value is not None and (len(value) != 3 or min(value) < low):
            raise ConfigError(f"infer.{name}: expected three numbers from {low}, but got {value}")
    z, y, x = (max(axis) for axis in zip(*(e.geometry.multiples for e in engines), strict=True))
    multiple = (z, y, x)
    depth = _depth(shape, settings, z)
    steps = multiple if depth is None else (output_stride, y, x)
    if settings.overlap is not None:
        steps = three(output_stride)
    if settings.tile is not None:
        tile = _given_tile(shape, settings.tile, multiple)
        _warn_of_large(tile, engines, settings, n_classes, output_stride)
        overlap, on_disk = _overlap_of_tile(shape, tile, engines, settings, steps), False
    else:
        tile, overlap, on_disk = _roomiest(
            shape, engines, settings, multiple, steps, depth, n_classes, output_stride
        )
    if turns_sideways(views_of(settings.views)):
        edge = min(tile[1:])  # square, so that a tile and the turned one run in the same buffers
        tile = (tile[0], edge, edge)
    first, second, third = (
        tile_starts(n, t, o if n > t else 0, s)
        for n, t, o, s in zip(shape, tile, overlap, steps, strict=True)
    )
    plan = TilePlan(shape, tile, (first, second, third), output_stride, on_disk)
    logger.info(
        "%d tile(s) of %s voxels over %s, %.2f evaluations per voxel, %d network(s), %d view(s)",
        plan.n_tiles,
        "x".join(map(str, tile)),
        "x".join(map(str, shape)),
        plan.evaluations,
        len(engines),
        settings.views or 1,
    )
    return plan


def _depth(shape: Shape, settings: InferSettings, multiple: int) -> int | None:
    """Of every tile, where it is limited and the volume is deeper."""
    if settings.depth is None or settings.tile is not None or shape[0] <= settings.depth:
        return None
    return round_up(settings.depth, multiple)


def _given_tile(shape: Shape, tile: Sequence[int], multiple: Shape) -> Shape:
    z, y, x = (
        min(round_up(t, m), max(round_up(n, m), 2 * m))
        for t, n, m in zip(tile, shape, multiple, strict=True)
    )
    return z, y, x


def _warn_of_large(
    tile: Shape, engines: Sequence[Engine], settings: InferSettings, n_classes: int, stride: int
) -> None:
    """Say so where a given tile, which may be a preset's or a bundle's, takes all of the memory."""
    needed = math.prod(tile) * _bytes_per_voxel(engines, settings.views or 1, n_classes, stride)
    if needed > _memory(settings):
        logger.warning(
            "tiles of %s voxels take about %.2g GB, more than infer.memory=%s; ask for smaller "
            "ones with infer.tile=[z,y,x]", "x".join(map(str, tile)), needed / 1e9, settings.memory,
        )  # fmt: skip


def _memory(settings: InferSettings) -> float:
    """Bytes."""
    try:
        return parse_memory(settings.memory)
    except ValueError as error:
        raise ConfigError(f"infer.memory: {error}") from error


def _overlap(engines: Sequence[Engine], settings: InferSettings, steps: Shape) -> Shape:
    """What is asked for, or what the widest of the networks needs."""
    if settings.overlap is not None:
        z, y, x = (round_up(o, s) for o, s in zip(settings.overlap, steps, strict=True))
        return z, y, x
    fields = np.array([e.receptive_field for e in engines])
    return default_overlap(fields.max(axis=0).tolist(), steps)


def _overlap_of_tile(
    shape: Shape,
    tile: Shape,
    engines: Sequence[Engine],
    settings: InferSettings,
    steps: Shape,
) -> Shape:
    """The overlap for a given tile: at most half of it unless it is given too."""
    if not any(n > t for n, t in zip(shape, tile, strict=True)):
        return 0, 0, 0
    overlap = _overlap(engines, settings, steps)
    if settings.overlap is None:
        z, y, x = (min(o, t // 2 // s * s) for o, t, s in zip(overlap, tile, steps, strict=True))
        return z, y, x
    if any(n > t and o >= t for n, t, o in zip(shape, tile, overlap, strict=True)):
        raise ConfigError(
            f"infer.overlap: expected less than the tile {list(tile)} on each axis, in steps of "
            f"{steps[0]}, but got {settings.overlap}"
        )
    return overlap


def _roomiest(
    shape: Shape,
    engines: Sequence[Engine],
    settings: InferSettings,
    multiple: Shape,
    steps: Shape,
    depth: int | None,
    n_classes: int,
    stride: int,
) -> tuple[Shape, Shape, bool]:
    """The tile with the fewest evaluations in the memory allowed, its overlap, and `on_disk`."""
    memory = _PLANNED * _memory(settings)
    per_voxel = _bytes_per_voxel(engines, settings.views or 1, n_classes, stride)
    plane = round_up(shape[1], multiple[1]) * round_up(shape[2], multiple[2]) / stride**2
    per_plane = 4 * n_classes * plane / stride
    whole = _given_tile(shape, shape, multiple)
    if depth is None and per_voxel * float(np.prod(whole)) + per_plane * whole[0] <= memory:
        return whole, (0, 0, 0), False  # without the work of measuring a receptive field
    overlap = _overlap(engines, settings, steps)
    if depth is not None and settings.overlap is None:
        overlap = (min(overlap[0], depth // 2 // steps[0] * steps[0]), *overlap[1:])
    if depth is not None and overlap[0] >= depth:
        raise ConfigError(
            f"infer.overlap: expected less than the depth of a tile, {depth}, along z, "
            f"but got {settings.overlap}"
        )
    tile = largest_tile(shape, overlap, multiple, memory, per_voxel, per_plane, depth)
    roomy = largest_tile(shape, overlap, multiple, memory, per_voxel, depth=depth)
    if roomy is None:
        raise ConfigError(
            f"infer.memory={settings.memory}: no tile of a volume of {shape} voxels fits; "
            f"allow more, or set infer.overlap below {list(overlap)}"
        )
    least = _evaluated(shape, roomy, overlap, steps)
    if tile is not None and _evaluated(shape, tile, overlap, steps) <= _WORTH * least:
        return tile, overlap, False
    return roomy, overlap, True


def _evaluated(shape: Shape, tile: Shape, overlap: Shape, steps: Shape) -> float:
    """Voxels of all tiles together."""
    total = 1.0
    for n, t, o, s in zip(shape, tile, overlap, steps, strict=True):
        total *= len(tile_starts(n, t, o if n > t else 0, s)) * t
    return total


def _bytes_per_voxel(engines: Sequence[Engine], views: int, n_classes: int, stride: int) -> float:
    """What the networks and the loop around them hold for each voxel of a tile."""
    needs = [(e.keeps_buffers, e.geometry.bytes_per_voxel * min(e.batch, views)) for e in engines]
    kept = sum(need for keeps, need in needs if keeps)
    passing = max((need for keeps, need in needs if not keeps), default=0.0)
    # This tile, and the next as stored and normalised. The answer to this one, and to the one
    # before, which is being added; and what is being summed up.
    answers = 2 if len(engines) * views == 1 else 3
    return kept + passing + 12 + 4 * answers * n_classes / stride**3

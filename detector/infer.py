"""A tomogram's heatmap, tile by tile.

A tile is read and normalised by a second thread while the network works on the one before. What
the networks say about it, averaged over views and networks, is weighted and added to a slab of the
heatmap, as deep as one tile, by a third thread while they work on the next; when the tiles of a
slab are done, the planes that no further tile reaches are cut to [0, 1] and leave, a few at a time.
So the memory for sums doesn't grow with the volume's depth; where even that slab is large, it lies
in a file (:mod:`detector.slab`).

Instance norms take their mean over the tile, so a network that has them answers a little
differently for each tile size: large tiles, all of one size, keep that small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.buffers import Buffers
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.threads import side_by_side
from detector.engine import Engine
from detector.half import rounded_to_half
from detector.heatmap import Heatmap, heatmap_to_voxel_index, voxel_to_heatmap_index
from detector.read_tiles import Normalise, tiles_read_ahead
from detector.settings import InferSettings
from detector.slab import FileSlab, MemorySlab, cut_to_unit
from detector.tile_plan import TilePlan, plan_tiles
from detector.tiles import blend_weights
from detector.views import View, views_of

__all__ = [
    "Heatmap",
    "heatmap_slabs",
    "heatmap_to_voxel_index",
    "predict_heatmap",
    "predict_tile",
    "voxel_to_heatmap_index",
]

Progress = Callable[[int, int], None]


def predict_heatmap(
    volume: Any,
    engines: Sequence[Engine],
    settings: InferSettings,
    n_classes: int,
    output_stride: int,
    *,
    normalise: Normalise | None = None,
    progress: Progress | None = None,
) -> Heatmap:
    """The heatmap of a whole volume: the mean over networks and views, cut to [0, 1].

    Parameters
    ----------
    volume : (d, h, w) array
        Anything with a shape that slices like one; read tile by tile.
    engines
        The networks of an ensemble, at least one.
    settings
        `tile`, `overlap`, `memory` and `views` are read; no views are 1.
    n_classes
        k.
    output_stride
        s, voxels per heatmap cell.
    normalise
        From a tile as it is read to what the networks were trained on; None: it is that already.
    progress
        Called with the number of tiles done and of all tiles, after each tile.

    Returns
    -------
    Heatmap
        float16, exact to 0.00025 near 1 and to less below; :mod:`detector.heatmap` says where its
        cells lie.

    Raises
    ------
    ConfigError
        If the settings don't suit the volume or the networks.
    InputError
        If a voxel is NaN or infinite, or a network answers so.
    ValueError
        If there is no engine, or one isn't for `n_classes` and `output_stride`.
    """
    check_engines(engines, settings, n_classes, output_stride)
    d, h, w = (int(n) for n in volume.shape)
    plan = plan_tiles((d, h, w), engines, settings, n_classes, output_stride)
    values = np.empty((n_classes, *plan.cells), np.float16)
    for first, slab in heatmap_slabs(
        volume, engines, plan, settings.views or 1, normalise=normalise, progress=progress
    ):
        side_by_side(rounded_to_half, slab, values[:, first : first + slab.shape[1]])
    return Heatmap(values, output_stride)


def check_engines(
    engines: Sequence[Engine], settings: InferSettings, n_classes: int, output_stride: int
) -> None:
    """Refuse engines and views that can't be run together.

    Raises
    ------
    ConfigError
        If the number of views is unknown.
    ValueError
        If there is no engine, or one isn't for `n_classes` and `output_stride`.
    """
    try:
        views_of(settings.views)
    except ValueError as error:
        raise ConfigError(f"infer.views: {error}") from error
    if not engines:
        raise ValueError("Expected at least one engine, but got none.")
    for engine in engines:
        made = (engine.geometry.n_classes, engine.output_stride)
        if made != (n_classes, output_stride):
            raise ValueError(
                f"Expected engines for {n_classes} classes at stride {output_stride}, "
                f"but {engine.name} is for {made[0]} at stride {made[1]}."
            )


def heatmap_slabs(
    volume: Any,
    engines: Sequence[Engine],
    plan: TilePlan,
    views: int,
    *,
    normalise: Normalise | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
    buffers: Buffers | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The heatmap in slabs of finished planes, from z = 0 up.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    engines
        At least one.
    plan
        For this volume.
    views
        Number of test-time views, a key of :data:`detector.views.VIEWS`.
    normalise, progress
        As for :func:`predict_heatmap`.
    folder
        On whose disk the slab lies where the plan says so; None: the system's folder for temporary
        files.
    buffers
        Whose memory tiles and slab take; None: their own.
    meanwhile
        Called once, by another thread, while the network works on the first tile.

    Yields
    ------
    first
        Plane of the heatmap that the slab starts at.
    slab : (k, n, h', w') float32 array in [0, 1]
        Its memory is used again for the next one.

    Raises
    ------
    InputError
        If a voxel is NaN or infinite, or a network answers so.
    """
    cells = [[s // plan.stride for s in starts] for starts in plan.starts]
    tile = [t // plan.stride for t in plan.tile]
    weights = [blend_weights(s, t) for s, t in zip(cells, tile, strict=True)]
    shape = (tile[0], cells[1][-1] + tile[1], cells[2][-1] + tile[2])
    k = engines[0].geometry.n_classes
    depth, height, width = plan.cells
    done = 0
    with (
        FileSlab(k, shape, folder) if plan.on_disk else MemorySlab(k, shape, buffers) as slab,
        ThreadPoolExecutor(1, "add-tile") as adder,
    ):
        adding: Future[None] | None = None
        tiles = tiles_read_ahead(volume, plan, normalise, buffers)
        for (i, j, m), voxels in tiles:
            if meanwhile is not None and not done:
                adder.submit(meanwhile)
            values = predict_tile(voxels, engines, views)
            if adding is not None:
                adding.result()  # one tile's answers wait at most
            factors = (weights[0][i], weights[1][j], weights[2][m])
            adding = adder.submit(slab.add, cells[1][j], cells[2][m], values, factors)
            del values  # so that the memory is given back as soon as it is added
            done += 1
            if progress is not None:
                progress(done, plan.n_tiles)
            if done % (len(cells[1]) * len(cells[2])):
                continue
            adding.result()
            if done == plan.n_tiles:
                tiles.close()  # gives its memory back before the last planes are looked at
                del voxels
            first = cells[0][i]
            until = cells[0][i + 1] if i + 1 < len(cells[0]) else depth
            for plane, sums in slab.take(until - first, together=len(cells[0]) == 1):
                finished = sums[:, :, :height, :width]
                _cut(finished)
                yield first + plane, finished


def _cut(values: NDArray[np.float32]) -> None:
    """Cut to [0, 1] in place."""
    if not cut_to_unit(values):
        raise InputError(
            "the network answers NaN for this volume; is infer.precision=fp16? Use fp32"
        )


def predict_tile(
    tile: NDArray[np.float32], engines: Sequence[Engine], views: int
) -> NDArray[np.float32]:
    """Mean answer of all networks to all views of a tile, each brought back.

    Parameters
    ----------
    tile : (d, h, w) float32 array
    engines
        At least one.
    views
        Number of test-time views, a key of :data:`detector.views.VIEWS`.

    Returns
    -------
    (k, d/s, h/s, w/s) float32 array
        Raw values.
    """
    total: NDArray[np.float32] | None = None
    for engine in engines:
        for batch in _batches(views_of(views), engine.batch):
            seen = [view.of(tile)[None] for view in batch]
            answers = engine(np.stack(seen) if len(seen) > 1 else seen[0][None])
            for view, answer in zip(batch, answers, strict=True):
                back = view.back(answer)
                if total is None:
                    total = np.require(back, requirements=["C", "W"])  # the engine's, ours now
                else:
                    total += back
    if total is None:
        raise ValueError("Expected at least one engine, but got none.")
    if len(engines) * views > 1:
        total /= np.float32(len(engines) * views)
    return total


def _batches(views: Sequence[View], size: int) -> Iterator[Sequence[View]]:
    """Views in batches; those that swap y and x stand apart, as their tiles may differ in shape."""
    upright = [v for v in views if not v.turns % 2]
    sideways = [v for v in views if v.turns % 2]
    for group in (upright, sideways):
        for first in range(0, len(group), size):
            yield group[first : first + size]

"""Members of an ensemble: detectors of any kind, brought to one stride and one scale of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.engine import Engine
from detector.quantiles import match_scores
from detector.tiles import Shape

T = TypeVar("T")

HEATMAP_STRIDE = 2
"""Voxels per cell of the heatmaps that are kept and that the refiner sees."""


def coarsen(values: NDArray[np.floating], factor: int) -> NDArray[np.float32]:
    """Mean over blocks of ``factor``³ cells, which has the centre of the coarser cell.

    Parameters
    ----------
    values : (..., d, h, w) array
        Edges that are no multiples of the factor end in smaller blocks.
    factor

    Returns
    -------
    (..., d', h', w') float32 array
    """
    out: NDArray[np.float32] = np.asarray(values, np.float32)
    for axis in (-3, -2, -1):
        starts = np.arange(0, out.shape[axis], factor)
        counts = np.diff(np.append(starts, out.shape[axis])).astype(np.float32)
        sums = np.add.reduceat(out, starts, axis)
        out = (sums / counts.reshape((-1,) + (1,) * (-1 - axis))).astype(np.float32)
    return out


def by_layer(of_members: Sequence[Mapping[str, T]]) -> dict[str, T]:
    """What is known of the layers of several networks, by the layers' names in their mean.

    Parameters
    ----------
    of_members
        By the names in each network, in the order that
        :class:`detector.mean_network.MeanNetwork` has them in.
    """
    return {
        f"members.{number}.{name}": value
        for number, known in enumerate(of_members)
        for name, value in known.items()
    }


class MemberEngine:
    """An engine whose answers are brought to the ensemble's stride and scale, and weighted.

    Parameters
    ----------
    engine
    stride
        Of the ensemble, a multiple of the engine's, voxels.
    factor
        What each answer is multiplied with.
    tables : two (k, n) arrays, or None
        The member's own quantiles and the ensemble's; None: scores as they are.

    Raises
    ------
    ValueError
        If the stride is no multiple of the engine's.
    """

    def __init__(
        self,
        engine: Engine,
        stride: int,
        factor: float,
        tables: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    ) -> None:
        if stride % engine.output_stride:
            raise ValueError(
                f"Expected `stride` to be a multiple of {engine.output_stride}, but got {stride}."
            )
        self._engine, self._factor, self._tables = engine, np.float32(factor), tables
        self.name, self.output_stride = engine.name, stride
        z, y, _ = (math.lcm(n, stride) for n in engine.geometry.multiples)
        self.geometry = replace(engine.geometry, multiple=y, depth_multiple=z)
        self.batch, self.keeps_buffers = engine.batch, engine.keeps_buffers

    @property
    def receptive_field(self) -> Shape:
        """That of the engine, voxels, zyx."""
        return self._engine.receptive_field

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) weighted float32 heatmaps."""
        answers = np.clip(self._engine(batch), 0.0, 1.0)
        answers = coarsen(answers, self.output_stride // self._engine.output_stride)
        if self._tables is not None:
            answers = np.stack([match_scores(a, *self._tables) for a in answers])
        return answers * self._factor


def at_heatmap_stride(engine: Engine) -> Engine:
    """The engine, or where it answers for every voxel, the means of its answers over cells.

    A full heatmap of six classes is as large as six tomograms, and the refiner wants the half one;
    positions between cells come back from the refinement of the peaks.
    """
    if HEATMAP_STRIDE % engine.output_stride or engine.output_stride == HEATMAP_STRIDE:
        return engine
    return MemberEngine(engine, HEATMAP_STRIDE, 1.0, None)


def member_engines(
    engines: Sequence[Engine],
    weights: Sequence[float],
    tables: Sequence[NDArray[np.float64]] | None,
    reference: NDArray[np.float64] | None,
) -> list[MemberEngine]:
    """Engines whose plain mean is the weighted mean of matched scores, at the coarsest stride.

    Parameters
    ----------
    engines, weights
        One weight for each, above 0.
    tables : one (k, n) array for each, or None
    reference : (k, n) array, or None

    Raises
    ------
    ValueError
        If a weight isn't above 0, or there isn't one for each engine.
    """
    if len(weights) != len(engines) or not all(w > 0 for w in weights):
        raise ValueError(f"Expected {len(engines)} weights above 0, but got {list(weights)}.")
    stride = math.lcm(*(e.output_stride for e in engines))
    share = len(engines) / sum(weights)
    members = []
    for i, (engine, weight) in enumerate(zip(engines, weights, strict=True)):
        own = (tables[i], reference) if tables is not None and reference is not None else None
        members.append(MemberEngine(engine, stride, weight * share, own))
    return members

"""Connected components of a heatmap: one candidate per blob.

Voxels that share a face, an edge or a corner belong together. Only the voxels above the threshold
are kept and joined, as a sparse graph, so that a heatmap may come in pieces.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from detector.peaks import Peaks

_FORWARD = [o for o in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if o > (0, 0, 0)]
"""Half of the 26 neighbours, zyx: those with a higher flat index."""


class Components:
    """Blobs of a heatmap that comes plane by plane, from z = 0 up.

    Parameters
    ----------
    thresholds : (k,) array or one number
        Above 0; a blob is made of values at or above it, each class for itself.
    n_classes
        k.
    min_voxels
        Smaller blobs are dropped.

    Raises
    ------
    ValueError
        If a threshold isn't above 0.
    """

    def __init__(self, thresholds: ArrayLike, n_classes: int, min_voxels: int) -> None:
        self._limits = np.broadcast_to(np.asarray(thresholds, np.float32), (n_classes,))
        if not (self._limits > 0).all():
            raise ValueError(f"Expected `thresholds` above 0, but got {self._limits.tolist()}.")
        self._min_voxels = min_voxels
        self._depth = 0
        self._places: list[list[NDArray[np.int64]]] = [[] for _ in self._limits]
        self._values: list[list[NDArray[np.float64]]] = [[] for _ in self._limits]

    def add(self, slab: NDArray[np.floating]) -> None:
        """Take the next planes.

        Parameters
        ----------
        slab : (k, n, h, w) array

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        for values, limit, places, kept in zip(
            slab, self._limits, self._places, self._values, strict=True
        ):
            if not np.isfinite(values).all():
                raise ValueError("Expected `values` to be finite, but got NaN or infinity.")
            inside = np.stack(np.nonzero(values >= limit), -1)
            kept.append(values[tuple(inside.T)].astype(np.float64))
            places.append(inside + np.array([self._depth, 0, 0]))
        self._depth += slab.shape[1]

    def finish(self) -> Peaks:
        """All blobs; see :func:`find_components`."""
        found = [
            _blobs(np.concatenate(places), np.concatenate(values), self._min_voxels)
            for places, values in zip(self._places, self._values, strict=True)
            if places
        ]
        if not found:
            return Peaks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.float32))
        classes = np.repeat(np.arange(len(found)), [len(score) for _, score in found])
        centroids, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        return Peaks(classes.astype(np.int64), centroids, scores)


def find_components(
    values: NDArray[np.floating], thresholds: ArrayLike, min_voxels: int = 1
) -> Peaks:
    """Blobs of values at or above the threshold, each class for itself.

    Parameters
    ----------
    values : (k, d, h, w) float array
    thresholds : (k,) array or one number
        Above 0.
    min_voxels
        Smaller blobs are dropped.

    Returns
    -------
    Peaks
        A blob's place is its centroid, weighted with the values, and its score its largest value.
        By class and then by the flat index of a blob's first voxel.

    Raises
    ------
    ValueError
        If a shape is wrong, a threshold isn't above 0, or a value is NaN or infinite.
    """
    if values.ndim != 4:
        raise ValueError(f"Expected `values` to be (k, d, h, w), but got shape {values.shape}.")
    components = Components(thresholds, len(values), min_voxels)
    components.add(values)
    return components.finish()


def _blobs(
    places: NDArray[np.int64], weights: NDArray[np.float64], min_voxels: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Centroids (n, 3) and scores (n,) of one class, from its voxels in flat order."""
    if not len(places):
        return np.empty((0, 3)), np.empty(0, np.float32)
    _, first, blob = np.unique(_joined(places), return_index=True, return_inverse=True)
    total = np.bincount(blob, weights)
    centroids = np.stack([np.bincount(blob, weights * axis) / total for axis in places.T], -1)
    scores = np.zeros(len(total), np.float32)
    np.maximum.at(scores, blob, weights.astype(np.float32))
    order = np.argsort(first)
    order = order[np.bincount(blob)[order] >= min_voxels]
    return centroids[order], scores[order]


def _joined(places: NDArray[np.int64]) -> NDArray[np.int32]:
    """Number of the blob that each voxel (n, 3), in flat order, belongs to."""
    # A margin around the volume keeps a step past one row's end from landing in the next row.
    _, h, w = places.max(0) + 3
    flat = (places @ np.array([h * w, w, 1])).astype(np.int64)
    pairs = []
    for offset in _FORWARD:
        step = int(np.dot(offset, [h * w, w, 1]))
        there = np.minimum(np.searchsorted(flat, flat + step), len(flat) - 1)
        touching = np.flatnonzero(flat[there] == flat + step)
        pairs.append(np.stack([touching, there[touching]]))
    one, other = np.concatenate(pairs, 1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(flat),) * 2)
    return connected_components(graph, directed=False)[1]

"""Connected components of a heatmap: one candidate per blob.

Voxels that share a face, an edge or a corner belong together.
"""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import ArrayLike, NDArray

from detector.peaks import Peaks


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
    limits = np.broadcast_to(np.asarray(thresholds, np.float32), (len(values),))
    if not (limits > 0).all():
        raise ValueError(f"Expected `thresholds` above 0, but got {limits.tolist()}.")
    parts = [_components(v, limit, min_voxels) for v, limit in zip(values, limits, strict=True)]
    if not parts:
        return Peaks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.float32))
    classes = np.repeat(np.arange(len(parts)), [len(score) for _, score in parts])
    centroids, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Peaks(classes.astype(np.int64), centroids, scores)


def _components(
    volume: NDArray[np.floating], threshold: np.float32, min_voxels: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Centroids (n, 3) and scores (n,) of one class."""
    if not np.isfinite(volume).all():
        raise ValueError("Expected `values` to be finite, but got NaN or infinity.")
    mask = np.ascontiguousarray(volume >= threshold)
    if not mask.any():
        return np.empty((0, 3)), np.empty(0, np.float32)
    inside = np.stack(np.nonzero(mask))
    names = cc3d.connected_components(mask, connectivity=26)[tuple(inside)]
    _, first, blob = np.unique(names, return_index=True, return_inverse=True)
    weights = volume[tuple(inside)].astype(np.float64)
    total = np.bincount(blob, weights)
    centroids = np.stack([np.bincount(blob, weights * axis) / total for axis in inside], -1)
    scores = np.zeros(len(total), np.float32)
    np.maximum.at(scores, blob, weights.astype(np.float32))
    order = np.argsort(first)
    order = order[np.bincount(blob)[order] >= min_voxels]
    return centroids[order], scores[order]

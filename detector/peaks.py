"""Local maxima of a heatmap, exactly those that a max-pool of an odd kernel finds.

A voxel is a peak iff, in the cube of `kernel` voxels around it (cut off at the borders), no other
voxel is greater and none that is equal has a lower flat index; and it reaches its class's
threshold. So a plateau narrower than the kernel has one peak, its first voxel.

The search: with kernel 2 r + 1, cut the volume into aligned blocks of r + 1 voxels. Any two voxels
of a block see each other, so a block holds at most one peak, its first maximum; and only where
that reaches the threshold is the cube around it looked at, first in maxima over the block's planes
and rows, then in the planes beyond. One pass over the values, no copy.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryo_pick.threads import threads as default_threads

_BLOCKS_AT_ONCE = 16
"""Blocks along y whose planes are kept in the processor's cache."""


class Peaks(NamedTuple):
    """Peaks as parallel arrays, by class and then by flat index.

    Attributes
    ----------
    classes : (n,) int64 array
    places : (n, 3) float64 array, voxels of the array that was searched, zyx
        Fractional with sub-voxel positions.
    scores : (n,) float32 array
        Value at the peak.
    """

    classes: NDArray[np.int64]
    places: NDArray[np.float64]
    scores: NDArray[np.float32]


def find_peaks(
    values: NDArray[np.floating],
    thresholds: ArrayLike,
    kernel: int,
    subvoxel: bool = True,
    threads: int | None = None,
    planes: tuple[int, int] | None = None,
) -> Peaks:
    """Local maxima of every class; see the module's docstring for the rule.

    Parameters
    ----------
    values : (k, d, h, w) float array
        Compared in float32. Need not be contiguous.
    thresholds : (k,) array or one number
        A peak's value is at least its class's.
    kernel
        Edge of the cube in which a peak is the maximum, in voxels; odd, at least 3.
    subvoxel
        Refine each position by :func:`refine_peaks`.
    threads
        That search side by side; None: :func:`cryo_pick.threads.threads`.
    planes
        First plane, and the one after the last, whose peaks are given; the others are only looked
        at. None: all.

    Raises
    ------
    ValueError
        If a shape or the kernel is wrong, or a value is NaN or infinite.
    """
    if values.ndim != 4:
        raise ValueError(f"Expected `values` to be (k, d, h, w), but got shape {values.shape}.")
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(f"Expected `kernel` to be odd and at least 3, but got {kernel}.")
    limits = np.broadcast_to(np.asarray(thresholds, np.float32), (len(values),))
    if np.isnan(limits).any():
        raise ValueError("Expected `thresholds` to be numbers, but got NaN.")
    workers = default_threads() if threads is None else threads
    parts = []
    with ThreadPoolExecutor(workers) as pool:
        for index, limit in enumerate(limits):
            volume = np.ascontiguousarray(values[index], np.float32)
            flat = _search(pool, workers, volume, float(limit), kernel // 2)
            if planes is not None:
                low, high = np.searchsorted(flat, np.multiply(planes, volume[0].size))
                flat = flat[low:high]
            place = np.stack(np.unravel_index(flat, volume.shape), -1)
            position = place.astype(np.float64)
            if subvoxel:
                shares = np.array_split(place, workers)
                position = np.concatenate(list(pool.map(partial(refine_peaks, volume), shares)))
            parts.append((np.full(len(flat), index), position, volume.ravel()[flat]))
    if not parts:
        return Peaks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.float32))
    classes, positions, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Peaks(classes.astype(np.int64), positions, scores)


def load_search() -> None:
    """Load or compile what :func:`find_peaks` needs, ahead of it: that takes a second or more."""
    find_peaks(np.zeros((1, 1, 1, 1), np.float32), 1.0, 3)


def _search(
    pool: ThreadPoolExecutor,
    workers: int,
    volume: NDArray[np.float32],
    threshold: float,
    radius: int,
) -> NDArray[np.int64]:
    """Flat indices of the peaks of one volume, rising."""
    from detector.peaks_kernel import search_blocks

    if not volume.size:
        return np.empty(0, np.int64)
    blocks = [-(-n // (radius + 1)) for n in volume.shape]
    found = np.full(blocks, -1, np.int64)
    n_shares = max(min(workers, blocks[1]), -(-blocks[1] // _BLOCKS_AT_ONCE))
    cuts = np.linspace(0, blocks[1], n_shares + 1).astype(int).tolist()
    shares = [
        pool.submit(search_blocks, volume, np.float32(threshold), radius, found, low, high)
        for low, high in itertools.pairwise(cuts)
    ]
    if not all(share.result() for share in shares):
        raise ValueError("Expected `values` to be finite, but got NaN or infinity.")
    return np.sort(found[found >= 0])


def refine_peaks(volume: NDArray[np.float32], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sub-voxel positions of peaks, from each one's two neighbours along each axis.

    A parabola goes through the logarithms of the three values, which is exact for a Gaussian
    whatever its width; through the values themselves where a neighbour is below a twentieth of the
    peak, where noise would rule the logarithm. A peak stays within half a voxel, and where it is
    along an axis on whose border it lies or where the three are equal. Shifts are rounded to 2**-20
    voxels, so that they are the same in a volume and in a part of it.

    Parameters
    ----------
    volume : (d, h, w) float array
    index : (n, 3) int array, zyx

    Returns
    -------
    (n, 3) float64 array, zyx
    """
    from detector.peaks_kernel import refine

    refined: NDArray[np.float64] = refine(volume, np.asarray(index, np.int64))
    return refined

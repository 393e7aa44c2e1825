"""Robust intensity normalisation, the same for both networks and every tile."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import InputError

CLIP = 10.0
"""Normalised values are cut at this many standard deviations, which tames gold beads."""
LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""Quantiles that are kept."""
MAX_SAMPLE = 1_000_000
"""About how many voxels the statistics rest on."""
_SIGMAS_PER_MAD = 1.4826
_SIGMAS_IN_98_PERCENT = 4.6527


@dataclass(frozen=True)
class IntensityStatistics:
    """Where the intensities of a volume lie.

    Attributes
    ----------
    median
        Of the voxels.
    scale
        Robust standard deviation: 1.4826 times the median absolute deviation.
    quantiles
        At :data:`LEVELS`.
    """

    median: float
    scale: float
    quantiles: tuple[float, ...]


def _sample_grid(shape: tuple[int, ...], max_voxels: int) -> tuple[list[int], list[int]]:
    """First voxel and step along each axis of a regular subsample."""
    n_voxels = float(np.prod([float(n) for n in shape]))
    step = max(1, int(np.ceil((n_voxels / max_voxels) ** (1 / 3))))
    steps = [min(step, max(1, n // 8)) for n in shape]
    return [(s - 1) // 2 for s in steps], steps


def subsample(volume: Any, max_voxels: int = MAX_SAMPLE) -> NDArray[np.float32]:
    """Every n-th voxel along each axis, the same ones each time.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    max_voxels
        About how many voxels are taken at most.

    Returns
    -------
    (n,) float32 array
    """
    starts, steps = _sample_grid(volume.shape, max_voxels)
    index = tuple(slice(a, None, s) for a, s in zip(starts, steps, strict=True))
    return np.asarray(volume[index], np.float32).ravel()


def intensity_statistics(volume: Any) -> IntensityStatistics:
    """Median, robust scale and quantiles from a deterministic subsample.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.

    Raises
    ------
    InputError
        If a sampled voxel is NaN or infinite, or all are equal.
    """
    return _statistics(subsample(volume))


def statistics_by_blocks(volume: Any, block: tuple[int, int, int]) -> IntensityStatistics:
    """The same statistics in one pass that holds a block at a time and checks every voxel.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    block : (d, h, w), voxels
        What is read at once; best that which is stored together.

    Raises
    ------
    InputError
        If a voxel is NaN or infinite, or all that are sampled are equal.
    """
    shape = tuple(int(n) for n in volume.shape)
    starts, steps = _sample_grid(shape, MAX_SAMPLE)
    grid = zip(starts, shape, steps, strict=True)
    sample = np.empty([len(range(a, n, s)) for a, n, s in grid], np.float32)
    n_bad = 0
    for corner in itertools.product(*map(range, [0] * 3, shape, block)):
        stop = [min(c + b, n) for c, b, n in zip(corner, block, shape, strict=True)]
        voxels = np.asarray(volume[tuple(map(slice, corner, stop))], np.float32)
        n_bad += voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        first = [max(0, -(-(c - a) // s)) for c, a, s in zip(corner, starts, steps, strict=True)]
        local = [a + i * s - c for a, i, s, c in zip(starts, first, steps, corner, strict=True)]
        taken = voxels[tuple(slice(i, None, s) for i, s in zip(local, steps, strict=True))]
        sample[tuple(slice(i, i + n) for i, n in zip(first, taken.shape, strict=True))] = taken
    if n_bad:
        raise InputError(
            f"{n_bad} of {math.prod(shape)} voxels are NaN or infinite; "
            "mask or reconstruct the tomogram again"
        )
    return _statistics(sample.ravel())


def _statistics(values: NDArray[np.float32]) -> IntensityStatistics:
    sample = values.astype(np.float64)
    bad = sample.size - np.count_nonzero(np.isfinite(sample))
    if bad:
        raise InputError(f"{bad} of {sample.size} sampled voxels are NaN or infinite")
    quantiles = np.quantile(sample, LEVELS)
    median = float(quantiles[LEVELS.index(0.5)])
    scale = float(np.median(np.abs(sample - median))) * _SIGMAS_PER_MAD
    if scale == 0:  # more than half of the voxels are equal, as in a padded volume
        low, high = quantiles[LEVELS.index(0.01)], quantiles[LEVELS.index(0.99)]
        scale = float(high - low) / _SIGMAS_IN_98_PERCENT or float(sample.std())
    if not scale > 0:
        raise InputError(f"every sampled voxel is {median:g}: the volume is constant")
    return IntensityStatistics(median, scale, tuple(quantiles.tolist()))


def normalize(
    volume: Any, statistics: IntensityStatistics, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """``(volume - median) / scale``, cut at +-10.

    Parameters
    ----------
    volume : array of any shape
        Not changed.
    statistics
        Of the whole volume, also where `volume` is a tile of it.
    out : float32 array of the same shape
        Where the result goes; None: to a new array.

    Returns
    -------
    float32 array of the same shape

    Raises
    ------
    InputError
        If a voxel is NaN or infinite.
    """
    voxels = np.asarray(volume, np.float32)
    result = np.empty(voxels.shape, np.float32) if out is None else out
    median, scale = np.float32(statistics.median), np.float32(statistics.scale)
    n_bad = 0
    # A plane at a time stays in the processor's cache from one step to the next.
    planes = zip(voxels, result, strict=True) if voxels.ndim > 2 else [(voxels, result)]
    with np.errstate(all="ignore"):  # what is not finite is counted
        for plane, target in planes:
            np.subtract(plane, median, out=target)
            np.divide(target, scale, out=target)
            n_bad += target.size - int(np.count_nonzero(np.isfinite(target)))
            np.clip(target, -CLIP, CLIP, out=target)
    if n_bad:
        raise InputError(f"{n_bad} of {result.size} voxels are NaN or infinite")
    return result

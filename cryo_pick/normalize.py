"""Robust intensity normalisation, the same for both networks and every tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import InputError

CLIP = 10.0
"""Normalised values are cut at this many standard deviations, which tames gold beads."""
LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""Quantiles that are kept."""
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


def subsample(volume: Any, max_voxels: int = 1_000_000) -> NDArray[np.float32]:
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
    n_voxels = float(np.prod([float(n) for n in volume.shape]))
    step = max(1, int(np.ceil((n_voxels / max_voxels) ** (1 / 3))))
    steps = [min(step, max(1, n // 8)) for n in volume.shape]
    starts = [(s - 1) // 2 for s in steps]
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
    sample = subsample(volume).astype(np.float64)
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


def normalize(volume: Any, statistics: IntensityStatistics) -> NDArray[np.float32]:
    """``(volume - median) / scale``, cut at +-10.

    Parameters
    ----------
    volume : array of any shape
        Not changed.
    statistics
        Of the whole volume, also where `volume` is a tile of it.

    Returns
    -------
    float32 array of the same shape

    Raises
    ------
    InputError
        If a voxel is NaN or infinite.
    """
    result = np.asarray(volume, np.float32) - np.float32(statistics.median)
    result /= np.float32(statistics.scale)
    bad = result.size - np.count_nonzero(np.isfinite(result))
    if bad:
        raise InputError(f"{bad} of {result.size} voxels are NaN or infinite")
    np.clip(result, -CLIP, CLIP, out=result)
    return result

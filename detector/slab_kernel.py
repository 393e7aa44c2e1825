"""The loops of :mod:`detector.slab`, compiled; apart, since numba takes nearly a second to load."""

from __future__ import annotations

import numba
import numpy as np

_STEPS = np.float32(2.0**20)
_STEP = np.float32(2.0**-20)
_LIMIT = np.float32(15.0)


@numba.njit(nogil=True, cache=True)
def add_rounded(target, part, factors, weight):
    """Add a plane, each value cut to the limit, times its factor and rounded to a whole step.

    Parameters
    ----------
    target, part, factors : (h, w) float32 arrays
    weight : float32
        Of the plane.
    """
    scale = weight * _STEPS
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            value = part[y, x]
            value = _LIMIT if value > _LIMIT else value
            value = -_LIMIT if value < -_LIMIT else value
            target[y, x] += np.rint(value * (factors[y, x] * scale)) * _STEP


@numba.njit(nogil=True, cache=True)
def cut(values):
    """Cut numbers to [0, 1] in place; whether all were finite.

    Parameters
    ----------
    values : (d, h, w) float32 array
    """
    check = np.zeros(values.shape[2], np.float32)  # stays 0 as long as every value is finite
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                value = values[z, y, x]
                check[x] += value - value
                value = value if value > np.float32(0.0) else np.float32(0.0)
                values[z, y, x] = value if value < np.float32(1.0) else np.float32(1.0)
    return not check.any()

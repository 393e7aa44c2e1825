"""Rounding to half precision, compiled: numpy is slower at it, and needs a way back besides."""

from __future__ import annotations

import numba
import numpy as np

_LEAST_NORMAL = np.float32(2.0**-14)
_STEPS = np.float32(2.0**24)
_STEP = np.float32(2.0**-24)
"""Of halves below the least normal one."""


@numba.njit(nogil=True, cache=True)
def round_to_half(values, single_bits, half_bits):
    """Round numbers from 0 to 1 in place to the nearest half, of two the even one, as IEEE 754 has.

    Parameters
    ----------
    values : (d, h, w) float32 array
    single_bits : (d, h, w) uint32 array
        The same memory.
    half_bits : (d, h, w) uint16 array
        Written: the same numbers as halves.
    """
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                value = values[z, y, x]
                bits = single_bits[z, y, x]
                # 13 bits of the significand go; the exponents' biases are 127 and 15.
                rounded = (bits + np.uint32(0xFFF) + ((bits >> 13) & np.uint32(1))) >> 13
                steps = np.rint(value * _STEPS)
                small = value < _LEAST_NORMAL
                values[z, y, x] = steps * _STEP if small else value
                single_bits[z, y, x] = single_bits[z, y, x] if small else rounded << 13
                half_bits[z, y, x] = steps if small else rounded - (112 << 10)

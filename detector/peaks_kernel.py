"""Loops of :mod:`detector.peaks`, compiled; apart, since numba takes most of a second to load."""

from __future__ import annotations

import numba
import numpy as np

_LEAST_SHARE = 0.05
"""A Gaussian is fitted where both neighbours reach this share of the peak, a parabola elsewhere."""

_SHIFTS_PER_VOXEL = 2.0**20


@numba.njit(nogil=True, cache=True)
def refine(volume, index):
    """Loop of :func:`detector.peaks.refine_peaks`."""
    refined = index.astype(np.float64)
    for n in range(len(index)):
        z, y, x = index[n]
        top = np.float64(volume[z, y, x])
        for axis in range(3):
            if index[n, axis] == 0 or index[n, axis] == volume.shape[axis] - 1:
                continue
            dz, dy, dx = int(axis == 0), int(axis == 1), int(axis == 2)
            low = np.float64(volume[z - dz, y - dy, x - dx])
            high = np.float64(volume[z + dz, y + dy, x + dx])
            middle = top
            if top > 0 and min(low, high) >= _LEAST_SHARE * top:
                low, middle, high = np.log(low), np.log(top), np.log(high)
            bend = 2 * middle - low - high
            if bend > 0:
                shift = min(max((high - low) / (2 * bend), -0.5), 0.5)
                refined[n, axis] += np.rint(shift * _SHIFTS_PER_VOXEL) / _SHIFTS_PER_VOXEL
    return refined


@numba.njit(nogil=True, cache=True)
def search_blocks(volume, threshold, radius, found, low, high):
    """Write the peak of each block in columns `low` to `high` of y to `found`; False if not finite.

    Only as many y at a time as keep the planes in sight in the processor's cache.
    """
    depth, height, width = volume.shape
    edge = radius + 1
    base, end = max(low * edge - radius, 0), min(high * edge + radius, height)
    here = np.empty((end - base, width), np.float32)  # maximum over a row of blocks' z
    below = np.empty((end - base, width), np.float32)  # the same of the next row of blocks
    columns = np.empty(width, np.float32)  # maximum over its z and a block's y
    check = np.zeros(width, np.float32)  # stays 0 as long as every value is finite
    _fill_layer(volume[:edge, base:end], below, check)
    for bz in range(found.shape[0]):
        here, below = below, here
        z0, z1 = bz * edge, min((bz + 1) * edge, depth)
        if z1 < depth:  # before this row is searched, since that looks at the next one's planes
            _fill_layer(volume[z1 : z1 + edge, base:end], below, check)
        for by in range(low, high):
            y0, y1 = by * edge, min((by + 1) * edge, height)
            columns[:] = here[y0 - base]
            for y in range(y0 + 1 - base, y1 - base):
                top = here[y]
                for x in range(width):
                    columns[x] = top[x] if top[x] > columns[x] else columns[x]
            for bx in range(found.shape[2]):
                x0, x1 = bx * edge, min((bx + 1) * edge, width)
                best = columns[x0]
                for x in range(x0 + 1, x1):
                    best = max(best, columns[x])
                if best >= threshold:
                    found[bz, by, bx] = _peak_of_block(
                        volume, here, base, columns, best, radius, (z0, z1), (y0, y1), (x0, x1)
                    )
    return not check.any()


@numba.njit(nogil=True, cache=True)
def _fill_layer(planes, layer, check):
    """Maximum over the planes, and whether all is finite."""
    for y in range(planes.shape[1]):
        top = layer[y]
        top[:] = planes[0, y]
        for z in range(planes.shape[0]):
            row = planes[z, y]
            for x in range(planes.shape[2]):
                value = row[x]
                top[x] = value if value > top[x] else top[x]
                check[x] += value - value


@numba.njit(nogil=True, cache=True)
def _peak_of_block(volume, layer, base, columns, best, radius, zs, ys, xs):
    """Flat index of a block's first maximum if it is a peak, else -1.

    The block's maximum sees all of the block's z and y, so a greater value near it in `columns`,
    or in `layer`, whose first row is y = `base`, turns it down without a look at the volume.
    """
    depth, height, width = volume.shape
    x_first, x_last = xs[0], xs[1] - 1  # where the maximum occurs
    while columns[x_first] != best:
        x_first += 1
    while columns[x_last] != best:
        x_last -= 1
    for x in range(max(x_last - radius, 0), min(x_first + radius + 1, width)):
        if columns[x] > best:
            return -1
    y_first, y_last = ys[1], ys[0]
    for y in range(ys[0], ys[1]):
        for x in range(x_first, x_last + 1):
            if layer[y - base, x] == best:
                y_first, y_last = min(y_first, y), y
    z, y, x = zs[0], y_first, x_first
    if x_first != x_last or y_first != y_last:
        return _first_if_peak(volume, best, radius, zs, (y_first, y_last), (x_first, x_last))
    y_low, y_high = max(y - radius, 0), min(y + radius + 1, height)
    x_low, x_high = max(x - radius, 0), min(x + radius + 1, width)
    for j in range(y_low, y_high):
        for i in range(x_low, x_high):
            if layer[j - base, i] >= best and not (j == y and i == x):
                if layer[j - base, i] > best:
                    return -1
                return _first_if_peak(volume, best, radius, zs, (y, y), (x, x))
    while volume[z, y, x] != best:
        z += 1
    # The block's own planes hold nothing as great elsewhere. Above them are lower flat indices,
    # which may not be equal; below are higher ones.
    for k in range(max(z - radius, 0), zs[0]):
        for j in range(y_low, y_high):
            for i in range(x_low, x_high):
                if volume[k, j, i] >= best:
                    return -1
    for k in range(zs[1], min(z + radius + 1, depth)):
        for j in range(y_low, y_high):
            for i in range(x_low, x_high):
                if volume[k, j, i] > best:
                    return -1
    return (z * height + y) * width + x


@numba.njit(nogil=True, cache=True)
def _first_if_peak(volume, best, radius, zs, ys, xs):
    """The same by the rule alone, for when equal values are about; `ys` and `xs` are inclusive."""
    depth, height, width = volume.shape
    for z in range(zs[0], zs[1]):
        for y in range(ys[0], ys[1] + 1):
            for x in range(xs[0], xs[1] + 1):
                if volume[z, y, x] != best:
                    continue
                flat = (z * height + y) * width + x
                for k in range(max(z - radius, 0), min(z + radius + 1, depth)):
                    for j in range(max(y - radius, 0), min(y + radius + 1, height)):
                        for i in range(max(x - radius, 0), min(x + radius + 1, width)):
                            value = volume[k, j, i]
                            before = (k * height + j) * width + i < flat
                            if value > best or (value == best and before):
                                return -1
                return flat
    return -1

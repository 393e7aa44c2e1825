"""How far picks sit from the density they mean, per class and axis, to a fraction of a voxel.

Particles lie in random orientations, so the average of the cut-outs around them is symmetric about
their true centre, whatever the particle looks like; a missing wedge and a CTF keep that point
symmetry. The centre of an average is therefore the point about which it correlates best with its
own reflection, which one self-convolution finds for every shift at once. No template is needed and
the sign of the contrast does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage  # type: ignore[import-untyped, unused-ignore]

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.tomogram import Tomogram

HALF_WIDTH_IN_RADII = 1.6
"""Half the edge of a cut-out: the particle, and room for it to be off centre."""
MAX_HALF_POINTS = 14
"""Grid points from the middle of a cut-out to its edge; a large particle is sampled coarser."""
MIN_PICKS = 8
"""Fewer picks don't average to a symmetric blob."""
N_GROUPS = 8
"""Of the jackknife behind the standard errors."""


@dataclass(frozen=True, eq=False)
class Offset:
    """Where the density of a class lies as seen from its picks.

    Attributes
    ----------
    mean : (3,) float64 array, Å, zyx
        Density minus pick: positive where the density lies further along the axis.
    error : (3,) float64 array, Å, zyx
        Standard error of `mean`, from a jackknife over the picks.
    stretch, stretch_error : (3,) float64 arrays, zyx
        Growth of the offset per Å along each axis: 0.01 where picks should be multiplied by 1.01.
    n_picks
        Picks whose cut-outs were averaged.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    stretch: NDArray[np.float64]
    stretch_error: NDArray[np.float64]
    n_picks: int


def cut_cubes(
    tomogram: Tomogram, positions: NDArray[np.float64], step: float, half_points: int
) -> NDArray[np.float32]:
    """Cut-outs around positions, interpolated linearly on a grid in Å.

    Parameters
    ----------
    tomogram
        With its volume in memory.
    positions : (n, 3) float array, Å, zyx
    step : Å
        Between two grid points.
    half_points
        Points on either side of the middle one.

    Returns
    -------
    (n, p, p, p) float32 array, p = 2 half_points + 1
        Beyond the volume, its border is repeated.
    """
    line = np.arange(-half_points, half_points + 1) * step
    spacing = np.asarray(tomogram.voxel_spacing)
    volume = tomogram.volume
    cubes = np.empty((len(positions), *(3 * (len(line),))), np.float32)
    for i, index in enumerate(
        angstrom_to_index(positions, tomogram.voxel_spacing, tomogram.origin)
    ):
        axes = [c + line / s for c, s in zip(index, spacing, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"))
        ndimage.map_coordinates(volume, grid, cubes[i], order=1, mode="nearest")
    return cubes


def symmetric_centre(average: NDArray[np.float64]) -> NDArray[np.float64]:
    """Point about which a cube is most nearly its own reflection, in grid points from its middle.

    Parameters
    ----------
    average : (p, p, p) float array, p odd

    Returns
    -------
    (3,) float64 array, grid points, zyx
        Within half of the cube's half-width.
    """
    p = average.shape[0]
    half = p // 2
    window, border = _window(half)
    contrast = (average - np.median(average[border])) * window
    size = fft.next_fast_len(2 * p - 1, real=True)
    spectrum = fft.rfftn(contrast, (size,) * 3)
    # Entry 2 * (half + t) of the self-convolution is sum A(c + u) A(c + 2t - u): the correlation
    # with the reflection about t, so half a grid point of t is one entry.
    product = fft.irfftn(spectrum * spectrum, (size,) * 3)[: 2 * p - 1, : 2 * p - 1, : 2 * p - 1]
    reach = 2 * (half // 2)
    near = product[tuple(slice(2 * half - reach, 2 * half + reach + 1) for _ in range(3))]
    peak = np.array(np.unravel_index(int(near.argmax()), near.shape))
    return np.asarray((peak - reach + _parabola(near, peak)) / 2.0)


def measure_offset(
    tomograms: Sequence[Tomogram], positions: Sequence[NDArray[np.float64]], radius: float
) -> Offset | None:
    """Offset of the density from the picks of one class, over several runs.

    Parameters
    ----------
    tomograms
        With their volumes in memory.
    positions : of each tomogram (n, 3) float array, Å, zyx
    radius : Å
        Of the class.

    Returns
    -------
    Offset or None
        None where fewer than `MIN_PICKS` picks lie so far inside that a cut-out is mostly volume.
    """
    step = max(
        float(np.mean([t.voxel_spacing for t in tomograms])),
        HALF_WIDTH_IN_RADII * radius / MAX_HALF_POINTS,
    )
    half_points = max(4, round(HALF_WIDTH_IN_RADII * radius / step))
    inside = [_inside(t, p, 0.75 * radius) for t, p in zip(tomograms, positions, strict=True)]
    where = np.concatenate(inside)
    if len(where) < MIN_PICKS:
        return None
    mean = np.zeros(3)
    for _ in range(4):
        cubes = np.concatenate(
            [
                cut_cubes(t, p + mean, step, half_points)
                for t, p in zip(tomograms, inside, strict=True)
            ]
        )
        cubes -= cubes.mean(axis=(1, 2, 3), keepdims=True)
        move = symmetric_centre(cubes.mean(axis=0, dtype=np.float64)) * step
        mean = np.clip(mean + move, -radius, radius)
        if np.abs(move).max() < 0.05 * step:
            break
    stretch, stretch_error = _stretch(cubes, where, step)
    return Offset(mean, _jackknife(cubes) * step, stretch, stretch_error, len(where))


def combine_offsets(offsets: Sequence[Offset]) -> Offset:
    """One offset of several classes, each weighted by its inverse variance.

    Raises
    ------
    ValueError
        If there is no offset.
    """
    if not offsets:
        raise ValueError("Expected at least one offset, but got none.")
    mean, error = _weighted([o.mean for o in offsets], [o.error for o in offsets])
    stretch, stretch_error = _weighted(
        [o.stretch for o in offsets], [o.stretch_error for o in offsets]
    )
    return Offset(mean, error, stretch, stretch_error, sum(o.n_picks for o in offsets))


@cache
def _window(half: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A ball with a soft edge in a cube of 2 half + 1 points, and its outer shell."""
    line = np.arange(-half, half + 1)
    radius = np.sqrt(sum(np.square(a) for a in np.meshgrid(line, line, line, indexing="ij")))
    window = np.clip((half + 0.5 - radius) / max(0.25 * half, 1.0), 0.0, 1.0)
    return window, (radius > 0.75 * half) & (radius <= half)


def _inside(
    tomogram: Tomogram, positions: NDArray[np.float64], margin: float
) -> NDArray[np.float64]:
    """Positions at least `margin` Å from every face of the volume."""
    low = np.asarray(tomogram.origin)
    high = low + (np.asarray(tomogram.shape) - 1) * np.asarray(tomogram.voxel_spacing)
    return positions[np.all((positions >= low + margin) & (positions <= high - margin), axis=1)]


def _parabola(values: NDArray[np.float64], peak: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where the parabola through a maximum and its neighbours peaks, per axis, in entries."""
    shift = np.zeros(3)
    for axis in range(3):
        if not 0 < peak[axis] < values.shape[axis] - 1:
            continue
        before, after = peak.copy(), peak.copy()
        before[axis] -= 1
        after[axis] += 1
        a, b, c = (values[tuple(i)] for i in (before, peak, after))
        curvature = a - 2 * b + c
        shift[axis] = 0.5 * (a - c) / curvature if curvature < 0 else 0.0
    return shift


def _jackknife(cubes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standard error of the centre of the average, in grid points, leaving out groups of picks."""
    group = np.arange(len(cubes)) % N_GROUPS
    total = cubes.sum(axis=0, dtype=np.float64)
    centres = np.array(
        [
            symmetric_centre((total - cubes[group == g].sum(axis=0)) / np.count_nonzero(group != g))
            for g in range(N_GROUPS)
        ]
    )
    # A parabola between grid points is good to a few hundredths of one, however many picks agree.
    return np.asarray(np.maximum(np.sqrt((N_GROUPS - 1) * centres.var(axis=0)), 0.03))


def _stretch(
    cubes: NDArray[np.float32], where: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Growth of the offset per Å along each axis, between the lower and the upper half of picks."""
    slope, error = np.zeros(3), np.full(3, np.inf)
    for axis in range(3):
        upper = where[:, axis] > np.median(where[:, axis])
        if min(np.count_nonzero(upper), np.count_nonzero(~upper)) < MIN_PICKS:
            continue
        apart = where[upper, axis].mean() - where[~upper, axis].mean()
        if apart < 10 * step:
            continue
        halves = [cubes[~upper], cubes[upper]]
        low, high = (symmetric_centre(h.mean(axis=0, dtype=np.float64))[axis] for h in halves)
        slope[axis] = (high - low) * step / apart
        error[axis] = np.hypot(*(_jackknife(h)[axis] for h in halves)) * step / apart
    return slope, error


def _weighted(
    values: Sequence[NDArray[np.float64]], errors: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and its error with inverse-variance weights; an infinite error counts nothing."""
    weight = 1.0 / np.square(errors)
    total = weight.sum(axis=0)
    mean = np.divide(
        (weight * np.asarray(values)).sum(axis=0), total, out=np.zeros(3), where=total > 0
    )
    error = np.divide(1.0, np.sqrt(total), out=np.full(3, np.inf), where=total > 0)
    return mean, error

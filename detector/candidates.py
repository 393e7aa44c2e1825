"""Heatmap to candidates: places that may hold a particle, of whatever class."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo_pick.candidates import Candidates
from cryo_pick.coordinates import Vector, index_to_angstrom
from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleTypes
from detector.components import find_components
from detector.heatmap import Heatmap, heatmap_to_voxel_index
from detector.linked import link_marks, slice_marks
from detector.peaks import Peaks, find_peaks
from detector.points import NEIGHBOURS, without_doubles
from detector.settings import CandidatesSettings
from detector.slab import planes_at_once

METHODS = ("peaks", "components", "points", "linked")


def kernel_cells(kernel: int, stride: int) -> int:
    """Edge in heatmap cells of a cube of `kernel` tomogram voxels: odd, at least 3.

    Two peaks may be as close as before: a cube of kernel 7 forbids a second peak within 3 voxels,
    which at stride 2 are 1 whole cell, so the cube is 3 cells wide.
    """
    return 2 * max(1, (kernel // 2) // stride) + 1


def heatmap_candidates(
    heatmap: Heatmap,
    voxel_spacing: Vector,
    origin: Vector,
    settings: CandidatesSettings,
    types: ParticleTypes,
) -> Candidates:
    """The places where some class has a peak, strongest first.

    Peaks of different classes that lie together are one place, by a greedy rule: peaks are visited
    from the strongest down (ties: lower class, then lower flat index), and each one that isn't
    taken yet makes a candidate and takes every weaker peak of another class within
    `merge_distance`. Peaks of one class are never joined; the kernel keeps them apart.

    A candidate's stage-1 score of a class is the value of the peak of that class that it is made
    of or took; of a class without one, the largest value of the heatmap at cells whose centre lies
    within half of `merge_distance`, or in the cell that it lies in. A wider look would credit it
    with the flank of a neighbour.

    Parameters
    ----------
    heatmap
    voxel_spacing, origin : Å, zyx
        Of the tomogram.
    settings
        All but `path` are read.
    types
        The classes of the heatmap, in order.

    Returns
    -------
    Candidates
        Positions in Å, scores in [0, 1], at most `max_per_run`.

    Raises
    ------
    ConfigError
        If the method is unknown, or the threshold isn't above 0.
    ValueError
        If the heatmap has another number of classes than `types`.
    """
    if len(types) != heatmap.n_classes:
        raise ValueError(
            f"Expected a heatmap of {len(types)} classes, but got {heatmap.n_classes} channels."
        )
    check_settings(settings)
    return candidates_of_peaks(
        _find(heatmap, settings), heatmap.values, heatmap.stride, voxel_spacing, origin, settings,
        types,
    )  # fmt: skip


def candidates_of_peaks(
    peaks: Peaks,
    values: Any,
    stride: int,
    voxel_spacing: Vector,
    origin: Vector,
    settings: CandidatesSettings,
    types: ParticleTypes,
) -> Candidates:
    """The second half of :func:`heatmap_candidates`: from the peaks of all classes to candidates.

    Parameters
    ----------
    peaks
        By class and then by flat index; of method `linked`, marks of slices.
    values : (k, d, h, w) array
        The heatmap; anything that slices like one, read a few planes at a time.
    stride
        Voxels per heatmap cell.
    voxel_spacing, origin, settings, types
        As there.
    """
    cell = np.asarray(voxel_spacing) * stride
    peaks = _particles(peaks, cell, stride, settings, types)
    order = np.argsort(-peaks.scores, kind="stable")
    classes, scores = peaks.classes[order], np.clip(peaks.scores[order], 0.0, 1.0)
    voxels = heatmap_to_voxel_index(peaks.places[order], stride)
    positions = index_to_angstrom(voxels, voxel_spacing, origin)
    owner = merge_peaks(positions, classes, settings.merge_distance)
    kept = np.flatnonzero(owner == np.arange(len(owner)))[: settings.max_per_run]
    stage1 = _scores_by_planes(values, peaks.places[order][kept], cell, settings.merge_distance / 2)
    place = np.full(len(owner), -1)
    place[kept] = np.arange(len(kept))
    member = np.flatnonzero(place[owner] >= 0)
    # From the weakest to the strongest, so that of two peaks of one class the strongest is written.
    member = member[::-1]
    stage1[place[owner[member]], classes[member]] = scores[member]
    return Candidates(positions[kept], stage1)


def peak_kernel(settings: CandidatesSettings, stride: int) -> int:
    """Edge in cells of the cube, or square, in which what the method looks for is the maximum."""
    if settings.method == "points":
        return NEIGHBOURS
    return kernel_cells(settings.kernel, stride)


def _find(heatmap: Heatmap, settings: CandidatesSettings) -> Peaks:
    values, kernel = heatmap.values, peak_kernel(settings, heatmap.stride)
    if settings.method == "components":
        return find_components(values, settings.threshold, settings.min_voxels)
    if settings.method == "linked":
        return slice_marks(values, settings.threshold, kernel)
    return find_peaks(values, settings.threshold, kernel)


def _particles(
    peaks: Peaks,
    cell: NDArray[np.float64],
    stride: int,
    settings: CandidatesSettings,
    types: ParticleTypes,
) -> Peaks:
    """One peak per particle of a class, where the method finds several; `cell` in Å."""
    if settings.method == "points":
        return without_doubles(peaks, types.radii, cell, settings.oks)
    if settings.method == "linked":
        slices = -(-settings.min_slices // stride)
        return link_marks(peaks, cell, settings.link_distance, slices)
    return peaks


def check_settings(settings: CandidatesSettings) -> None:
    """Refuse what can't be done.

    Raises
    ------
    ConfigError
        If the method is unknown, or the threshold isn't above 0.
    """
    if not 0 < settings.threshold <= 1:
        raise ConfigError(
            f"candidates.threshold: expected above 0 and up to 1, but got {settings.threshold}"
        )
    if settings.method not in METHODS:
        raise ConfigError(
            f"candidates.method: expected {' or '.join(METHODS)}, but got {settings.method!r}"
        )


def _scores_by_planes(
    values: Any, index: NDArray[np.float64], cell: NDArray[np.float64], radius: float
) -> NDArray[np.float32]:
    """:func:`scores_around`, with no more of the heatmap in memory than a few planes."""
    k, depth = values.shape[:2]
    scores = np.zeros((len(index), k), np.float32)
    margin = int(radius / cell[0] + 0.5) + 1
    at_once = planes_at_once(k, *values.shape[2:])
    layer = np.rint(index[:, 0]).astype(np.int64) // at_once
    for z in np.unique(layer):
        members = np.flatnonzero(layer == z)
        low = max(int(z) * at_once - margin, 0)
        high = min((int(z) + 1) * at_once + margin, depth)
        local = index[members] - np.array([low, 0, 0])
        scores[members] = scores_around(np.asarray(values[:, low:high]), local, cell, radius)
    return scores


def merge_peaks(
    positions: NDArray[np.float64], classes: NDArray[np.int64], distance: float
) -> NDArray[np.int64]:
    """Which peak each peak belongs to, by the rule of :func:`heatmap_candidates`.

    Parameters
    ----------
    positions : (n, 3) array, Å
        Strongest first.
    classes : (n,) int array
    distance
        Å, inclusive.

    Returns
    -------
    (n,) int array
        Index of the peak that took it; its own where none did.
    """
    owner = np.arange(len(positions))
    if len(positions) < 2:
        return owner
    pairs = cKDTree(positions).query_pairs(distance, output_type="ndarray")
    pairs = pairs[classes[pairs[:, 0]] != classes[pairs[:, 1]]]
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    # Pairs come with i < j, i the stronger. When i's turn comes, all that is stronger has had its.
    for i, j in pairs.tolist():
        if owner[i] == i and owner[j] == j:
            owner[j] = i
    return owner


def scores_around(
    values: NDArray[np.floating],
    index: NDArray[np.float64],
    cell: NDArray[np.float64],
    radius: float,
) -> NDArray[np.float32]:
    """Largest value of each class at the cell of each place and at cells near it.

    Parameters
    ----------
    values : (k, d, h, w) array
    index : (n, 3) array, fractional cells, zyx
    cell : (3,) array, Å
        Edges of a cell.
    radius
        Å, from the place to the centre of a cell, inclusive.

    Returns
    -------
    (n, k) float32 array in [0, 1]
    """
    top = np.array(values.shape[1:]) - 1
    nearest = np.rint(index).astype(np.int64)
    scores = values[(slice(None), *np.clip(nearest, 0, top).T)].astype(np.float32)
    # A place is up to half a cell from its nearest cell, so cells up to radius + half are in reach.
    reach = np.floor(radius / cell + 0.5).astype(int)
    for offset in itertools.product(*(range(-r, r + 1) for r in reach)):
        there = nearest + offset
        near = np.linalg.norm((there - index) * cell, axis=1) <= radius
        near &= ((there >= 0) & (there <= top)).all(axis=1)
        found = values[(slice(None), *there[near].T)]
        scores[:, near] = np.maximum(scores[:, near], found)
    return np.clip(scores.T, 0.0, 1.0)

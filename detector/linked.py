"""Candidates of a per-slice detector: marks of neighbouring slices that belong to one particle.

Marks are local maxima of a slice. Two marks of one class on neighbouring slices are linked where
they are close in the plane, and what hangs together is one particle, found by depth-first search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from detector.peaks import Peaks


def slice_marks(values: NDArray[np.floating], threshold: float, kernel: int) -> Peaks:
    """Marks of every slice and class: local maxima of the slice alone.

    Parameters
    ----------
    values : (k, d, h, w) float array
    threshold
        Lowest value of a mark.
    kernel
        Edge in cells of the square in which a mark is the maximum; odd.

    Returns
    -------
    Peaks
        By class and then by flat index; at whole cells.
    """
    parts = []
    for label, volume in enumerate(np.asarray(values, np.float32)):
        largest = maximum_filter(volume, size=(1, kernel, kernel), mode="constant", cval=-np.inf)
        marks = np.argwhere((volume == largest) & (volume >= threshold))
        parts.append((np.full(len(marks), label), marks.astype(np.float64), volume[tuple(marks.T)]))
    classes, places, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Peaks(classes.astype(np.int64), places, scores)


def link_marks(marks: Peaks, cell: NDArray[np.float64], distance: float, min_slices: int) -> Peaks:
    """Particles of every class from marks on slices.

    A particle's place is the mean position of its marks and its score their mean score.

    Parameters
    ----------
    marks
        See :func:`slice_marks`.
    cell : (3,) array, Å
        Edges of a cell.
    distance
        Å, in the plane, inclusive; marks of neighbouring slices no further apart are linked.
    min_slices
        Groups that reach over fewer slices are dropped.
    """
    parts = []
    for label in np.unique(marks.classes).tolist():
        own = marks.classes == label
        places, scores = marks.places[own], marks.scores[own]
        for group in linked_groups(places.astype(np.int64), cell, distance):
            slices = places[group, 0]
            if slices.max() - slices.min() + 1 >= min_slices:
                parts.append((label, places[group].mean(0), scores[group].mean()))
    if not parts:
        return Peaks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.float32))
    classes, centres, strengths = zip(*parts, strict=True)
    return Peaks(
        np.array(classes, np.int64), np.array(centres, np.float64), np.array(strengths, np.float32)
    )


def linked_groups(
    marks: NDArray[np.int64], cell: NDArray[np.float64], distance: float
) -> list[list[int]]:
    """Groups of marks that hang together, each rising, by their first member.

    Parameters
    ----------
    marks : (n, 3) int array, cells, zyx
    cell : (3,) array, Å
    distance
        Å, in the plane, inclusive.
    """
    links = _links(marks, cell, distance)
    seen = np.zeros(len(marks), bool)
    groups = []
    for first in range(len(marks)):
        if seen[first]:
            continue
        seen[first] = True
        group, waiting = [], [first]
        while waiting:
            mark = waiting.pop()
            group.append(mark)
            for neighbour in links[mark]:
                if not seen[neighbour]:
                    seen[neighbour] = True
                    waiting.append(neighbour)
        groups.append(sorted(group))
    return groups


def _links(marks: NDArray[np.int64], cell: NDArray[np.float64], distance: float) -> list[list[int]]:
    """The marks of the slices before and after that each mark is linked with."""
    links: list[list[int]] = [[] for _ in marks]
    plane = marks[:, 1:] * np.asarray(cell)[1:]
    of_slice = {int(z): np.flatnonzero(marks[:, 0] == z) for z in np.unique(marks[:, 0])}
    trees = {z: cKDTree(plane[members]) for z, members in of_slice.items()}
    for z, members in of_slice.items():
        if z + 1 not in trees:
            continue
        above = of_slice[z + 1]
        for mark, near in zip(
            members.tolist(), trees[z].query_ball_tree(trees[z + 1], distance), strict=True
        ):
            for other in above[near].tolist():
                links[mark].append(other)
                links[other].append(mark)
    return links

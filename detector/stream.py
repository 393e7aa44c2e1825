"""Peaks of a heatmap that comes plane by plane: exactly those of the whole.

A plane is searched as soon as the planes that its peaks' cubes reach into are there, in a window
that holds those and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cryo_pick.threads import shares, side_by_side
from detector.candidates import check_settings, peak_kernel
from detector.components import Components
from detector.linked import slice_marks
from detector.peaks import Peaks, find_peaks
from detector.settings import CandidatesSettings
from detector.tiles import Shape

if TYPE_CHECKING:
    import torch


class PeakStream(Protocol):
    """Takes a heatmap's planes from z = 0 up and gives the peaks of all of them."""

    def add(self, slab: NDArray[np.floating]) -> None:
        """Take the next planes, (k, n, h, w)."""

    def finish(self) -> Peaks:
        """Peaks of all planes, by class and then by flat index."""


class RollingPeaks:
    """Local maxima, as :func:`detector.peaks.find_peaks` finds them in the whole heatmap.

    Parameters
    ----------
    threshold
        Lowest value of a peak.
    kernel
        Edge of the cube in which a peak is the maximum, cells; odd, at least 3.
    n_classes, cells
        k and (d, h, w) of the whole heatmap.
    gpu
        Where to search; None: on the CPU.
    """

    def __init__(
        self,
        threshold: float,
        kernel: int,
        n_classes: int,
        cells: Shape,
        gpu: torch.device | None = None,
    ) -> None:
        self._threshold, self._kernel, self._gpu = threshold, kernel, gpu
        self._depth = cells[0]
        self._windows = [np.empty((0, *cells[1:]), np.float32) for _ in range(n_classes)]
        self._held = 0  # planes at the start of each window
        self._found: list[list[Peaks]] = [[] for _ in range(n_classes)]
        self._first = 0  # plane that the held ones start at
        self._searched = 0  # planes whose peaks are known
        self._added = 0

    def add(self, slab: NDArray[np.floating]) -> None:
        """Take the next planes, (k, n, h, w), and search those that can be."""
        radius = self._kernel // 2
        self._added += slab.shape[1]
        stop = self._added if self._added == self._depth else max(self._added - radius, 0)
        first = max(max(stop - radius, 0), self._first)
        filled = self._held + slab.shape[1]
        held = filled - (first - self._first)

        def add_whole(classes: slice) -> None:
            memory = np.empty(slab.shape[1:], np.float32)
            for index in range(len(slab))[classes]:
                memory[...] = slab[index]
                self._search(index, memory, (0, stop))

        def add_class(index: int) -> None:
            window = self._window(index, filled)
            window[self._held :] = slab[index]
            if stop > self._searched:
                self._search(index, window, (self._searched - self._first, stop - self._first))
            window[:held] = window[filled - held :]

        # Classes side by side: a few planes of one are too few to share out.
        if self._gpu is not None:
            for index in range(len(slab)):
                add_class(index)
        elif slab.shape[1] == self._depth:  # all there is: nothing to keep for the next
            side_by_side(add_whole, shares(len(slab)))
        else:
            side_by_side(add_class, range(len(slab)))
        self._first, self._held = first, held
        self._searched = max(stop, self._searched)

    def _window(self, index: int, planes: int) -> NDArray[np.float32]:
        """So many planes of a class, the held ones first; memory that is used again and again."""
        window = self._windows[index]
        if len(window) < planes:
            larger = np.empty((planes, *window.shape[1:]), np.float32)
            larger[: self._held] = window[: self._held]
            self._windows[index] = window = larger
        return window[:planes]

    def _search(self, index: int, window: NDArray[np.floating], planes: tuple[int, int]) -> None:
        """Keep the peaks of some planes of a window of a class."""
        limit, kernel = self._threshold, self._kernel
        if self._gpu is None:
            found = find_peaks(window[None], limit, kernel, threads=1, planes=planes)
        else:
            from detector.peaks_torch import find_peaks_on

            found = find_peaks_on(self._gpu, window[None], limit, kernel, planes)
        places = found.places + np.array([self._first, 0, 0])
        self._found[index].append(Peaks(found.classes + index, places, found.scores))

    def finish(self) -> Peaks:
        """Peaks of all planes, by class and then by flat index.

        Raises
        ------
        ValueError
            If planes are missing.
        """
        if self._added != self._depth:
            raise ValueError(f"Expected {self._depth} planes, but got {self._added}.")
        parts = [peaks for found in self._found for peaks in found]
        return Peaks(*(np.concatenate(part) for part in zip(*parts, strict=True)))


class RollingMarks:
    """Marks of slices, as :func:`detector.linked.slice_marks` finds them in the whole heatmap.

    Parameters
    ----------
    threshold
        Lowest value of a mark.
    kernel
        Edge of the square in which a mark is the maximum, cells; odd.
    """

    def __init__(self, threshold: float, kernel: int) -> None:
        self._threshold, self._kernel = threshold, kernel
        self._found: list[Peaks] = []
        self._added = 0

    def add(self, slab: NDArray[np.floating]) -> None:
        """Take the next planes, (k, n, h, w), each of which is searched for itself."""
        found = slice_marks(slab, self._threshold, self._kernel)
        self._found.append(found._replace(places=found.places + np.array([self._added, 0, 0])))
        self._added += slab.shape[1]

    def finish(self) -> Peaks:
        """Marks of all planes, by class and then by flat index."""
        found = Peaks(*(np.concatenate(part) for part in zip(*self._found, strict=True)))
        order = np.argsort(found.classes, kind="stable")
        return Peaks(found.classes[order], found.places[order], found.scores[order])


def peak_stream(
    settings: CandidatesSettings,
    n_classes: int,
    cells: Shape,
    stride: int,
    gpu: torch.device | None = None,
) -> PeakStream:
    """What finds the peaks that the settings ask for, on a GPU where one is given.

    Raises
    ------
    ConfigError
        If the method is unknown, or the threshold isn't above 0.
    """
    check_settings(settings)
    if settings.method == "components":
        return Components(settings.threshold, n_classes, settings.min_voxels)
    kernel = peak_kernel(settings, stride)
    if settings.method == "linked":
        return RollingMarks(settings.threshold, kernel)
    return RollingPeaks(settings.threshold, kernel, n_classes, cells, gpu)

"""The part of a heatmap that tiles are being added to: as deep as one tile, in memory or in a file.

Every contribution is rounded to a multiple of 2**-20 before it is added. Sums of such numbers below
16 are exact in fp32, so the result doesn't depend on the order in which tiles are added, nor on
where the slab lies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cryo_pick.buffers import Buffers
from cryo_pick.threads import side_by_side
from cryo_pick.unnamed_file import UnnamedFile
from detector.tiles import Shape

PLANES_AT_ONCE, BYTES_AT_ONCE = 8, 2**25
"""Planes that leave a slab together: so many, or fewer where they would take more than that."""

Weights = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def planes_at_once(n_classes: int, height: int, width: int) -> int:
    """How many planes of a heatmap leave a slab together; at least one."""
    return min(PLANES_AT_ONCE, max(1, BYTES_AT_ONCE // (4 * n_classes * height * width)))


class Slab(Protocol):
    """Sums of weighted tiles over the planes that are not finished; a context."""

    def __enter__(self) -> Self:
        """Nothing but itself."""

    def __exit__(self, *error: object) -> None:
        """Give back what it holds."""

    def add(self, y: int, x: int, values: NDArray[np.float32], weights: Weights) -> None:
        """Add a tile's values (k, d, h, w), as deep as the slab, at row y and column x."""

    def take(self, n: int, together: bool = False) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The first n planes, a few at a time, each with its number; then the slab moves on by n.

        What is given is overwritten by the next. Those of a slab in memory can come `together`.
        """


class MemorySlab:
    """A slab in memory.

    Parameters
    ----------
    n_classes, shape
        k and (d, h, w) in cells.
    buffers
        Whose memory it takes; None: its own.
    """

    def __init__(self, n_classes: int, shape: Shape, buffers: Buffers | None = None) -> None:
        self._sums = (buffers or Buffers()).take("slab", (n_classes, *shape))
        self._to_move = shape[0]  # all of it: what is in that memory counts for nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def add(self, y: int, x: int, values: NDArray[np.float32], weights: Weights) -> None:
        """Add a tile's values (k, d, h, w), as deep as the slab, at row y and column x."""
        self._move()
        height, width = values.shape[2:]
        add_weighted(self._sums[:, :, y : y + height, x : x + width], values, weights)

    def take(self, n: int, together: bool = False) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The first n planes, a few at a time or together; then the slab moves on by n."""
        self._move()
        k, _, height, width = self._sums.shape
        at_once = n if together else planes_at_once(k, height, width)
        for first in range(0, n, at_once):
            yield first, self._sums[:, first : min(first + at_once, n)]
        self._to_move = n  # once more is added, if ever

    def _move(self) -> None:
        depth, n = self._sums.shape[1], self._to_move
        if not n:
            return
        self._to_move = 0
        for plane in range(depth - n):  # forwards, so that nothing is overwritten before it moved
            self._sums[:, plane] = self._sums[:, plane + n]
        self._sums[:, depth - n :] = 0


class FileSlab:
    """A slab in a file without a name, of which a few rows or planes are in memory at a time.

    Parameters
    ----------
    n_classes, shape
        k and (d, h, w) in cells.
    folder
        On whose disk it lies; None: the system's folder for temporary files.

    Raises
    ------
    OSError
        If there is no room for it.
    """

    def __init__(self, n_classes: int, shape: Shape, folder: Path | None = None) -> None:
        self._n_classes, self._shape = n_classes, shape
        self._start = 0  # where the first plane lies; planes follow each other in a ring
        self._file = UnnamedFile(4 * n_classes * math.prod(shape), folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _offset(self, index: int, plane: int, row: int = 0) -> int:
        """Byte of the first cell of a row of a plane of a class."""
        depth, height, width = self._shape
        place = (self._start + plane) % depth
        return 4 * (((index * depth + place) * height + row) * width)

    def add(self, y: int, x: int, values: NDArray[np.float32], weights: Weights) -> None:
        """Add a tile's values (k, d, h, w), as deep as the slab, at row y and column x."""
        from detector.slab_kernel import add_rounded

        height, width = values.shape[2:]
        rows = np.empty((height, self._shape[2]), np.float32)
        factors = weights[1][:, None] * weights[2]
        for index, channel in enumerate(values):
            for plane, (part, weight) in enumerate(zip(channel, weights[0], strict=True)):
                # Whole rows: one read and one write, where a map has a page fault every row.
                offset = self._offset(index, plane, y)
                self._file.read(offset, rows)
                add_rounded(rows[:, x : x + width], part, factors, weight)
                self._file.write(offset, rows)

    def take(self, n: int, together: bool = False) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The first n planes, a few at a time; then the slab moves on by n."""
        at_once = planes_at_once(self._n_classes, *self._shape[1:])
        nothing = np.zeros(self._shape[1:], np.float32)
        for first in range(0, n, at_once):
            count = min(at_once, n - first)
            values = np.empty((self._n_classes, count, *self._shape[1:]), np.float32)
            for index, number in itertools.product(range(self._n_classes), range(count)):
                offset = self._offset(index, first + number)
                self._file.read(offset, values[index, number])
                self._file.write(offset, nothing)
            yield first, values
        self._start = (self._start + n) % self._shape[0]


def add_weighted(sums: NDArray[np.float32], values: NDArray[np.float32], weights: Weights) -> None:
    """Add a tile's values, weighted along z, y, x, to `sums`, exactly whatever the order.

    Parameters
    ----------
    sums : (k, d, h, w) float32 array
        Changed in place.
    values : (k, d, h, w) float32 array
        Cut to +-15, far from where heatmap values are; NaN stays NaN.
    weights : (d,), (h,), (w,) float32 arrays
    """
    from detector.slab_kernel import add_rounded

    factors = weights[1][:, None] * weights[2]

    def add_class(index: int) -> None:
        for target, part, weight in zip(sums[index], values[index], weights[0], strict=True):
            add_rounded(target, part, factors, weight)

    side_by_side(add_class, range(len(values)))


def cut_to_unit(values: NDArray[np.float32]) -> bool:
    """Cut values (k, d, h, w) to [0, 1] in place; whether all were finite."""
    from detector.slab_kernel import cut

    return all(side_by_side(cut, values))

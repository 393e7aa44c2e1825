"""A heatmap on disk: written slab by slab, read box by box, never whole in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cryo_pick.mapped import box_of, read_box
from cryo_pick.unnamed_file import UnnamedFile
from detector.tiles import Shape

_DTYPE = np.dtype(np.float16)


class HeatmapFile:
    """A (k, d, h, w) float16 heatmap in a file without a name, which goes when it is closed.

    Parameters
    ----------
    n_classes, cells
        k and (d, h, w).
    folder
        On whose disk it lies; None: the system's folder for temporary files.

    Raises
    ------
    OSError
        If there is no room for it.
    """

    ndim = 4
    dtype = _DTYPE

    def __init__(self, n_classes: int, cells: Shape, folder: Path | None = None) -> None:
        self.shape = (n_classes, *cells)
        self._volume_bytes = _DTYPE.itemsize * int(np.prod(cells))
        self._file = UnnamedFile(n_classes * self._volume_bytes, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, first: int, slab: Iterable[NDArray[np.floating]]) -> None:
        """Put (n, h, w) values of each class at plane `first` and the n - 1 after it."""
        plane = self._volume_bytes // self.shape[1]
        for index, values in enumerate(slab):
            offset = index * self._volume_bytes + first * plane
            self._file.write(offset, np.ascontiguousarray(values, _DTYPE))

    def __getitem__(self, index: Any) -> NDArray[np.float16]:
        """A copy of a box of all classes: ``heatmap[:, z0:z1, y0:y1, x0:x1]``."""
        classes, *rest = index if isinstance(index, tuple) else (index,)
        box = box_of(tuple(rest))
        if classes != slice(None) or box is None:
            raise IndexError(f"Expected [:, z0:z1, y0:y1, x0:x1], but got {index}.")
        k, d, h, w = self.shape
        parts = [
            read_box(self._file.file, _DTYPE, i * self._volume_bytes, (d, h, w), box)
            for i in range(k)
        ]
        return np.stack(parts)

"""A volume that is normalised where it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.normalize import IntensityStatistics, normalize


def is_in_memory(volume: Any) -> bool:
    """Whether a slice of a volume costs what its own voxels cost: no file is read for it."""
    if isinstance(volume, np.ndarray):
        return not isinstance(volume, np.memmap)
    return bool(getattr(volume, "in_memory", False))


class NormalizedVolume:
    """A view of a volume with median 0 and robust variance 1; slices are read and normalised.

    So a crop of a memory-mapped tomogram costs its own bytes and no copy of the whole is made.

    Parameters
    ----------
    volume : (d, h, w) array
        Anything that slices like one.
    statistics
        Of the whole volume.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, volume: Any, statistics: IntensityStatistics) -> None:
        self._volume, self.statistics = volume, statistics

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        d, h, w = self._volume.shape
        return int(d), int(h), int(w)

    @property
    def size(self) -> int:
        """Number of voxels."""
        d, h, w = self.shape
        return d * h * w

    @property
    def in_memory(self) -> bool:
        """Whether a slice costs what its own voxels cost."""
        return is_in_memory(self._volume)

    def turned(self) -> NormalizedVolume:
        """The same, seen after a quarter turn about z, y towards x (see :func:`numpy.rot90`)."""
        return NormalizedVolume(np.rot90(self._volume, axes=(1, 2)), self.statistics)

    def read_into(self, index: Any, out: NDArray[np.float32]) -> None:
        """Write what the index selects to an array of its shape."""
        normalize(self._volume[index], self.statistics, out)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        return normalize(np.asarray(self._volume[index], np.float32), self.statistics)

"""Volumes in files, of which a slice is a copy and nothing stays mapped.

Every page of a memory map that was touched counts as memory of the process for as long as the map
lives. Here a map lives for a few planes at a time.
"""

from __future__ import annotations

import mmap
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import InputError

_PLANES_BYTES = 16 * 2**20
Box = tuple[slice, slice, slice]


def read_box(
    file: str | IO[bytes], dtype: np.dtype[Any], offset: int, shape: tuple[int, int, int], box: Box
) -> NDArray[Any]:
    """A copy of a box of a C-ordered volume in a file.

    Parameters
    ----------
    file
        Path, or an open file that is not closed.
    dtype
        Of the stored voxels; the copy is in the machine's byte order.
    offset
        Bytes before the first voxel.
    shape : (d, h, w)
        Of the whole volume.
    box
        Slices of step 1.

    Raises
    ------
    ValueError
        If the file is shorter than the volume.
    """
    (z0, z1), (y0, y1), (x0, x1) = (s.indices(n)[:2] for s, n in zip(box, shape, strict=True))
    wanted = tuple(max(b - a, 0) for a, b in ((z0, z1), (y0, y1), (x0, x1)))
    out = np.empty(wanted, dtype.newbyteorder("="))
    plane = shape[1] * shape[2] * dtype.itemsize
    step = max(1, _PLANES_BYTES // plane)
    for z in range(z0, z1 if out.size else z0, step):
        n = min(step, z1 - z)
        planes = np.memmap(file, dtype, "r", offset + z * plane, (n, *shape[1:]))
        out[z - z0 : z - z0 + n] = planes[:, y0:y1, x0:x1]
        del planes
    return out


def box_of(index: Any) -> Box | None:
    """The box that an index of a volume asks for; None where it asks for something else."""
    items = index if isinstance(index, tuple) else (index,)
    if len(items) > 3 or not all(isinstance(i, slice) and i.step in (None, 1) for i in items):
        return None
    slices: list[slice] = [*items, slice(None), slice(None), slice(None)]
    return slices[0], slices[1], slices[2]


class MappedVolume:
    """A memory-mapped volume that is mapped anew for each slice.

    Parameters
    ----------
    mapped : (d, h, w) memmap
        As :func:`numpy.memmap` made it, not a slice of such a one.
    """

    ndim = 3

    def __init__(self, mapped: np.memmap[Any, Any]) -> None:
        self.filename = str(mapped.filename)
        self.dtype, self._offset = mapped.dtype, int(mapped.offset)
        d, h, w = mapped.shape
        self.shape: tuple[int, int, int] = (int(d), int(h), int(w))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Voxels, as numpy slicing gives them, copied.

        Raises
        ------
        InputError
            If the file was cut short since it was opened.
        """
        box = box_of(index)
        try:
            if box is not None:
                return read_box(self.filename, self.dtype, self._offset, self.shape, box)
            whole = np.memmap(self.filename, self.dtype, "r", self._offset, self.shape)
            return np.array(whole[index])
        except (ValueError, OSError) as error:
            raise InputError(
                f"{self.filename}: can't read its voxels any more ({error})"
            ) from error


def is_whole_map(volume: Any) -> bool:
    """Whether a volume is a memory map as it was made, so that its `offset` is that of voxel 0."""
    return isinstance(volume, np.memmap) and isinstance(volume.base, mmap.mmap)

"""A volume that was decoded once into a file without a name, from which slices are read.

Tiles overlap, and cut across the chunks that a volume is stored in: read from the chunks, each is
decoded three times and more, and again for the patches. A slice of a plain file costs its bytes.
"""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cryo_pick.formats.zarr_volume import ZarrVolume
from cryo_pick.mapped import Box, box_of, read_box
from cryo_pick.unnamed_file import UnnamedFile


class SpooledVolume:
    """The voxels of a zarr array; a context, whose end is that of the file.

    Parameters
    ----------
    volume
        Decoded a few chunks at a time, z slowest.
    folder
        On whose disk the file lies; None: the system's folder for temporary files.
    at_once
        Bytes of voxels to decode at once, or one chunk where that is more; twice that is held.

    Raises
    ------
    InputError
        If a chunk is missing or damaged.
    OSError
        If there is no room for the file.
    """

    ndim = 3

    def __init__(self, volume: ZarrVolume, folder: Path | None, at_once: int) -> None:
        self.shape, self.dtype = volume.shape, volume.dtype.newbyteorder("=")
        self._file = UnnamedFile(self.dtype.itemsize * math.prod(self.shape), folder)
        depth, height, width = volume.array.chunks  # not shards, which may be as large as volumes
        chunk = (int(depth), int(height), int(width))
        boxes = _boxes(self.shape, chunk, at_once // self.dtype.itemsize)
        try:
            with ThreadPoolExecutor(1, "spool") as writer:  # while the next ones are decoded
                writing: Future[None] | None = None
                for box in boxes:
                    voxels = np.ascontiguousarray(volume[box], self.dtype)
                    if writing is not None:
                        writing.result()
                    writing = writer.submit(self._write, box, voxels)
                if writing is not None:
                    writing.result()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _write(self, box: Box, voxels: NDArray[Any]) -> None:
        z, y, x = (s.start for s in box)
        _, h, w = self.shape
        whole_rows = voxels.shape[2] == w
        for number, plane in enumerate(voxels):
            pieces = [plane] if whole_rows else list(plane)
            for row, piece in enumerate(pieces):
                at = ((z + number) * h + y + row) * w + x
                self._file.write(self.dtype.itemsize * at, piece)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Voxels, as numpy slicing gives them, copied."""
        box = box_of(index)
        if box is not None:
            return read_box(self._file.file, self.dtype, 0, self.shape, box)
        whole = np.memmap(self._file.file, self.dtype, "r", 0, self.shape)
        return np.array(whole[index])


def _boxes(shape: tuple[int, int, int], chunk: tuple[int, int, int], at_once: int) -> list[Box]:
    """Rows of chunks along x, cut where one holds more than `at_once` voxels; z slowest."""
    depth, height, width = chunk
    n = max(1, at_once // math.prod(chunk))
    return [
        (
            slice(z, min(z + depth, shape[0])),
            slice(y, min(y + height, shape[1])),
            slice(x, min(x + n * width, shape[2])),
        )
        for z in range(0, shape[0], depth)
        for y in range(0, shape[1], height)
        for x in range(0, shape[2], n * width)
    ]

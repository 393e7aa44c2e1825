"""Patches of many candidates from volumes that are slow to read: block by block, each once."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refiner.patches import cut_patches

_LEAST = 32
_MOST_DEEP = 64


def block_edges(
    shape: tuple[int, int, int], patch: int, memory: float, bytes_per_voxel: float
) -> NDArray[np.int64]:
    """Edges (3,) of the blocks that patches are sorted into: as large as the memory allows.

    What is read for a block is the block and, around it, where its patches reach to.

    Parameters
    ----------
    shape : (d, h, w), voxels
        Of the volume.
    patch
        Edge of a patch in voxels.
    memory
        Bytes.
    bytes_per_voxel
        Held for each voxel that is read.
    """
    edges = np.array([min(shape[0], _MOST_DEEP), shape[1], shape[2]], np.int64)
    edges = np.maximum(edges, 1)
    while float(np.prod(edges + patch)) * bytes_per_voxel > memory and edges.max() > _LEAST:
        edges[np.argmax(edges)] = max(edges.max() // 2, _LEAST)
    return edges


def block_order(starts: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order (n,) in which patches are cut, block after block, z slowest."""
    z, y, x = (starts // edges).T
    return np.lexsort((np.arange(len(starts)), x, y, z))


class BlockReader:
    """Cuts patches, and reads a block only when the last one doesn't hold them.

    Parameters
    ----------
    volume : (..., d, h, w) array
        Anything that slices like one.
    edges : (3,) array
        Of the blocks, on the grid of `starts`.
    size
        Edge of a patch.
    """

    def __init__(self, volume: Any, edges: NDArray[np.int64], size: int) -> None:
        self._volume, self._edges, self._size = volume, edges, size
        self._block: tuple[int, ...] | None = None
        self._low = np.zeros(3, np.int64)
        self._region: NDArray[np.floating] | None = None

    def cut(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Patches (n, ..., size, size, size) at `starts` (n, 3), sorted by :func:`block_order`."""
        blocks = (starts // self._edges).tolist()
        parts = []
        for block, members in itertools.groupby(range(len(starts)), lambda i: blocks[i]):
            which = list(members)
            region = self._read(tuple(block))
            parts.append(cut_patches(region, starts[which] - self._low, self._size))
        return np.concatenate(parts)

    def _read(self, block: tuple[int, ...]) -> NDArray[np.floating]:
        if block != self._block or self._region is None:
            self._region = None  # before the next one is read
            shape = np.array(self._volume.shape[-3:])
            corner = np.array(block) * self._edges
            self._low = np.clip(corner, 0, shape)
            high = np.clip(corner + self._edges + self._size, 0, shape)
            box = tuple(slice(a, b) for a, b in zip(self._low, high, strict=True))
            leading = (slice(None),) * (len(self._volume.shape) - 3)
            self._region = np.asarray(self._volume[(*leading, *box)])
            self._block = block
        return self._region

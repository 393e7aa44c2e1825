"""Large arrays that are used again for one tomogram after the other.

A system takes time to hand out memory: it clears it, and a virtual machine may have to ask for it
anew each time, which took longer than to fill it (2.5 s for 1 GB).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Buffers:
    """Memory by name; none is held before it is asked for."""

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def take(
        self, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """An array of this shape, with whatever was in its memory.

        It is valid until the same name is asked for again. Memory that is more than twice as large
        as it has to be is given back.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.pop(name, None)
        if kept is None or not size <= kept.nbytes <= 2 * size:
            del kept  # before more is taken
            kept = np.empty(size, np.uint8)
        self._kept[name] = kept
        return kept[:size].view(dtype).reshape(shape)

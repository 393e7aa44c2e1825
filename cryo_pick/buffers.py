"""Large arrays that are used again for one tomogram after the other.

A system takes time to hand out memory: it clears it, and a virtual machine may have to ask for it
anew each time, which can take longer than to fill it.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Buffers(threading.local):
    """Memory by name, for each thread its own, held from the second time that it is asked for.

    So a single tomogram gives back what it no longer needs, and the second of many does not.
    """

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[np.uint8] | None] = {}

    def take(
        self, name: str, shape: tuple[int, ...], dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """An array of this shape, with whatever was in its memory.

        It is valid until the same name is asked for again. Memory that is more than twice as large
        as it has to be is given back.
        """
        if name not in self._kept:
            self._kept[name] = None
            return np.empty(shape, dtype)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.pop(name)
        if kept is None or not size <= kept.nbytes <= 2 * size:
            del kept  # before more is taken
            kept = np.empty(size, np.uint8)
        self._kept[name] = kept
        return kept[:size].view(dtype).reshape(shape)

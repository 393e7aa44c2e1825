"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes
import sys

LARGE = 4 * 2**20
"""Bytes from which a block goes back to the system when it is freed."""
_M_MMAP_THRESHOLD = -3  # malloc.h


def give_back_large_blocks() -> bool:
    """Have this process give every large block back when it is freed.

    glibc does so only until the first one is freed: then it takes blocks of that size to be
    short-lived and keeps them, up to 32 MB each, between others that stop it from giving them back.
    Chunks, tiles and slabs of a large tomogram are of such sizes, and a third of the memory at the
    peak was kept that way (benchmarks/memory.py).

    Returns
    -------
    bool
        Whether it was understood; False with another C library.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE))

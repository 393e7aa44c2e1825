"""Chunks in Blosc, as most tomograms are stored, decoded by the threads of this process.

zarr takes new memory for each chunk, for what is read and for what is decoded; handing it out takes
the system longer than the work in it. Here each thread uses its own again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr
from numcodecs import blosc
from numpy.typing import NDArray

from cryo_pick.files import file_size
from cryo_pick.formats.location import Location
from cryo_pick.threads import shares, side_by_side

BLOSC_HEADER = 16
"""Bytes of a Blosc header, the last four of which are the length of the whole buffer."""


def is_blosc(array: zarr.Array[Any]) -> bool:
    """Whether the stored files are Blosc buffers, which hold their own length."""
    codecs = () if array.shards else array.compressors
    return bool(codecs) and type(codecs[-1]).__name__ in ("Blosc", "BloscCodec")


def is_plain_blosc(array: zarr.Array[Any]) -> bool:
    """Whether each stored file is one Blosc buffer of a chunk as it lies in memory here."""
    metadata: Any = array.metadata
    if not is_blosc(array) or len(array.compressors) != 1 or len(array.filters or ()):
        return False
    if metadata.zarr_format == 2:
        return bool(metadata.order == "C" and array.dtype.isnative)
    (serializer, _) = metadata.codecs
    endian = getattr(getattr(serializer, "endian", None), "value", None)
    return endian in (None, "little") and np.little_endian


def read_blosc(array: zarr.Array[Any], location: Location, most: int, out: NDArray[Any]) -> bool:
    """Decode every chunk into `out`; False, with `out` half written, where that is left to zarr.

    Parameters
    ----------
    array
        (d, h, w), of which :func:`is_plain_blosc`.
    location
        Folder of the array, on this machine.
    most
        Bytes that a file may have.
    out : (d, h, w) array
        Of the array's type.

    Returns
    -------
    bool
        False if a file is missing, which stands for fill values, or isn't one whole chunk.

    Raises
    ------
    InputError
        If a file can't be read.
    RuntimeError
        If one can't be decoded.
    """
    chunk = tuple(int(n) for n in array.chunks)
    n_bytes = math.prod(chunk) * out.dtype.itemsize
    places = list(_places(array.shape, chunk))

    def read(part: slice) -> bool:
        content, decoded = bytearray(), np.empty(chunk, out.dtype)
        for index, box in places[part]:
            file = location / array.metadata.encode_chunk_key(index)
            if file.local is None or not BLOSC_HEADER <= file_size(file.local) <= most:
                return False
            with file.read_into(content) as data:
                # Decoded and stored bytes, as the header says.
                sizes = np.frombuffer(data, "<u4", 3, offset=4)[[0, 2]].tolist()
                if sizes[0] != n_bytes or sizes[1] > len(data):
                    return False
                blosc.decompress(data, decoded)
            out[box] = decoded[tuple(slice(s.stop - s.start) for s in box)]
        return True

    return all(side_by_side(read, shares(len(places))))


def _places(
    shape: tuple[int, ...], chunk: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Of every chunk its index in the grid, and the box of the volume that it covers."""
    counts = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    for index in itertools.product(*map(range, counts)):
        corners = zip(index, chunk, shape, strict=True)
        yield index, tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in corners)

"""How far compressed bytes of a chunk would expand, found before anything is decoded.

A chunk of a few kilobytes can hold gigabytes, or claim to: a decompression bomb. Decoders allocate
what the bytes ask for, so the question is answered from headers and block tables, and only where
these can't answer it, by decoding in pieces that are thrown away.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable

CODECS = ("blosc", "gzip", "lz4", "zlib", "zstd")
"""Compressors whose expansion can be told; a chunk in any other is not read."""

_DEFLATE_RATIO = 1032
"""Deflate, of gzip and zlib, expands by this factor at most."""
_STEP = 2**20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 2**17
"""Most bytes that a compressed block of zstd decodes to (RFC 8878, 3.1.1.2.4)."""


def check_expansion(codec: str, data: bytes | memoryview, most: int) -> None:
    """Refuse bytes that would decode to more than `most` bytes.

    Parameters
    ----------
    codec
        One of :data:`CODECS`.
    data
        The compressed bytes. Damaged ones may pass: the decoder refuses those.
    most
        Bytes.

    Raises
    ------
    ValueError
        If they would; the message says how many.
    """
    size = _BOUNDS[codec](data, most)
    if size > most:
        raise ValueError(f"{len(data)} bytes decode to {size} or more, where {most} are expected")


def _blosc(data: bytes | memoryview, most: int) -> int:
    """The decoded size that the header states, which is what the decoder allocates."""
    return int.from_bytes(data[4:8], "little")


def _lz4(data: bytes | memoryview, most: int) -> int:
    """The size that numcodecs puts before the LZ4 block."""
    return int.from_bytes(data[:4], "little")


def _deflate(data: bytes | memoryview, most: int) -> int:
    """Of zlib: nothing to tell where the best ratio stays below `most`, else counted."""
    if len(data) * _DEFLATE_RATIO <= most:
        return 0
    try:
        return len(zlib.decompressobj().decompress(data, most + 1))
    except zlib.error:
        return 0


def _gzip(data: bytes | memoryview, most: int) -> int:
    """The same of gzip, all members together."""
    if len(data) * _DEFLATE_RATIO <= most:
        return 0
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while size <= most and (piece := len(file.read(_STEP))):
                size += piece
    except (OSError, EOFError, zlib.error):
        return size
    return size


def _zstd(data: bytes | memoryview, most: int) -> int:
    """Sum of what the frames state or, where one states nothing, of the most its blocks can hold.

    A stated size is what the decoder allocates, so it counts whatever the blocks hold.
    """
    size = place = 0
    while place + 5 <= len(data) and size <= most:
        if bytes(data[place : place + 4]) != _ZSTD_MAGIC:
            skippable = data[place + 1 : place + 4] == _SKIPPABLE and data[place] >> 4 == 5
            if not skippable:
                return size
            place += 8 + int.from_bytes(data[place + 4 : place + 8], "little")
            continue
        stated, place, checksum = _zstd_frame_header(data, place + 4)
        in_blocks, place = _zstd_blocks(data, place, 2 * (most + _ZSTD_BLOCK))
        size += in_blocks if stated is None else stated
        place += 4 * checksum
    return size


_SKIPPABLE = b"\x2a\x4d\x18"


def _zstd_frame_header(data: bytes | memoryview, place: int) -> tuple[int | None, int, int]:
    """Stated size, where the blocks begin, and whether a checksum follows (RFC 8878, 3.1.1.1)."""
    descriptor = data[place]
    single, dictionary = descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    place += 1 + (1 - single) + dictionary
    stated = int.from_bytes(data[place : place + width], "little") + (256 if width == 2 else 0)
    return stated if width else None, place + width, descriptor >> 2 & 1


def _zstd_blocks(data: bytes | memoryview, place: int, most: int) -> tuple[int, int]:
    """Bytes in the blocks of a frame, and where they end; counted up to `most`.

    Blocks need not be full, so half of the most that they can hold counts, and the last not at all.
    """
    size = 0
    while place + 3 <= len(data) and size <= most:
        header = int.from_bytes(data[place : place + 3], "little")
        last, kind, length = header & 1, header >> 1 & 3, header >> 3
        size += min(length, _ZSTD_BLOCK) if kind < 2 else _ZSTD_BLOCK
        place += 3 + (1 if kind == 1 else length)  # a repeated byte is stored once
        if last:
            break
    return max(0, size - _ZSTD_BLOCK) // 2, place


_BOUNDS: dict[str, Callable[[bytes | memoryview, int], int]] = {
    "blosc": _blosc,
    "gzip": _gzip,
    "lz4": _lz4,
    "zlib": _deflate,
    "zstd": _zstd,
}

"""How a tomogram is read within the memory there is: whole, or piece by piece from its file."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import zarr

from cryo_pick.buffers import Buffers
from cryo_pick.errors import InputError
from cryo_pick.formats.zarr_volume import ZarrVolume
from cryo_pick.mapped import MappedVolume, is_whole_map
from cryo_pick.memory import parse_memory
from cryo_pick.normalize import IntensityStatistics, statistics_by_blocks
from cryo_pick.spooled import SpooledVolume
from cryo_pick.tomogram import Tomogram

logger = logging.getLogger(__name__)

WHOLE = 0.25
"""A compressed volume is decoded as a whole where that takes at most this share of the memory."""
_CHUNKS_SHARE = 0.05
_PLANES_BYTES = 32 * 2**20


@contextmanager
def opened_within(
    tomogram: Tomogram,
    memory: str,
    folder: Path | None = None,
    buffers: Buffers | None = None,
) -> Iterator[tuple[Tomogram, str]]:
    """The tomogram as it is best read, and the memory that is left for everything else.

    A zarr array that is small beside the memory is decoded into it; a larger one into a file, or,
    where the disk has no room for it, chunk by chunk where they are needed. A memory-mapped file is
    mapped a few planes at a time.

    Parameters
    ----------
    tomogram
    memory
        Such as ``2GB``.
    folder
        On whose disk that file lies for a while; None: the system's folder for temporary files.
    buffers
        Where the voxels go that are decoded into memory; None: to new memory.

    Raises
    ------
    InputError
        If a chunk is missing or damaged.
    """
    volume, budget = tomogram.volume, parse_memory(memory)
    if is_whole_map(volume):
        yield replace(tomogram, volume=MappedVolume(volume)), memory
    elif not isinstance(volume, ZarrVolume):
        yield tomogram, memory
    else:
        volume.check_chunks()
        n_bytes = 4 * math.prod(volume.shape)
        if n_bytes <= WHOLE * budget:
            whole = (buffers or Buffers()).take("volume", volume.shape)
            volume.read_into(whole)
            yield replace(tomogram, volume=whole), f"{budget - n_bytes}B"
            return
        chunk = math.prod(volume.array.chunks) * 4
        if chunk > _CHUNKS_SHARE * budget:
            logger.warning(
                "%s: each chunk takes %.2g GB decoded, which comes on top of infer.memory=%s; "
                "smaller chunks would not", volume.where, chunk / 1e9, memory,
            )  # fmt: skip
        at_once = max(1, min(8, int(_CHUNKS_SHARE * budget / chunk)))
        with zarr.config.set({"async.concurrency": at_once}), ExitStack() as stack:
            try:
                spooled = SpooledVolume(volume, folder, int(_CHUNKS_SHARE * budget / 2))
            except OSError as error:
                logger.info(
                    "%s: no room to decode it into a file (%s): its chunks are decoded as often as "
                    "they are needed, which takes longer", volume.where, error.strerror or error,
                )  # fmt: skip
                yield tomogram, memory
            else:
                yield replace(tomogram, volume=stack.enter_context(spooled)), memory


def checked_statistics(tomogram: Tomogram) -> IntensityStatistics:
    """Intensity statistics of a tomogram every voxel of which is a number.

    Raises
    ------
    InputError
        If one is not, or all are equal.
    """
    volume = tomogram.volume
    _, h, w = tomogram.shape
    if isinstance(volume, ZarrVolume):
        block = volume.array.chunks
    else:
        block = (max(1, _PLANES_BYTES // (4 * h * w)), h, w)
    try:
        return statistics_by_blocks(volume, (int(block[0]), int(block[1]), int(block[2])))
    except InputError as error:
        raise InputError(f"run {tomogram.run!r}: {error}") from error

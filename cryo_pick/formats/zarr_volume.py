"""A zarr array as a volume: lazy, and its read errors name the run and the path."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype

from cryo_pick.errors import InputError
from cryo_pick.files import file_size
from cryo_pick.formats.blosc_chunks import BLOSC_HEADER, is_blosc, is_plain_blosc, read_blosc
from cryo_pick.formats.location import Location
from cryo_pick.formats.zarr_chunks import ChunkCoding, GuardedStore, chunk_coding
from cryo_pick.formats.zarr_loop import stop_at_exit

MAX_CHUNK_BYTES = 2**31
"""A decoded chunk above this is refused: it doesn't fit beside anything else in memory."""
MAX_CHUNKS = 2**22
"""An array in more files than this is refused, as is one of more than `MAX_VOXELS`."""
MAX_VOXELS = 2**38
"""Twenty times the largest tomogram that a detector of 8192 pixels gives."""


@dataclass(frozen=True)
class ZarrVolume:
    """A volume in a zarr array that is read when sliced.

    Attributes
    ----------
    array
        (d, h, w), read-only.
    location
        Folder of the array.
    where
        Run and path, for messages.
    coding
        How its chunks are coded.
    """

    array: zarr.Array[Any]
    location: Location
    where: str
    coding: ChunkCoding

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        d, h, w = self.array.shape
        return int(d), int(h), int(w)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored voxels."""
        return np.dtype(self.array.dtype)

    @property
    def ndim(self) -> int:
        """Always 3."""
        return 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Voxels, as numpy slicing gives them.

        Raises
        ------
        InputError
            If a chunk can't be read or decoded. A chunk that is missing reads as zeros;
            :meth:`check_chunks` finds those.
        """
        with self._named_errors():
            return np.asarray(self.array[index])

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every codec and store has errors of its own
            stop_at_exit()
            if isinstance(error, (IndexError, InputError)):
                raise
            detail = str(error).splitlines()[0][:200] if str(error) else ""
            raise InputError(
                f"{self.where}: can't read the voxels of {self.location} "
                f"({type(error).__name__}: {detail}); the file is damaged or cut short"
            ) from error

    def read_into(self, out: NDArray[Any]) -> None:
        """Write all voxels to an array of the same shape, without another copy of them.

        Raises
        ------
        InputError
            As slicing does.
        """
        if out.dtype != self.dtype:
            out[...] = self[:]
            return
        with self._named_errors():
            if self._read_blosc(out):
                return
            like: Any = out  # zarr's type for arrays asks for more than numpy says it has
            buffer = default_buffer_prototype().nd_buffer.from_ndarray_like(like)
            self.array.get_basic_selection(..., out=buffer)

    def _read_blosc(self, out: NDArray[Any]) -> bool:
        """As :func:`read_blosc`, where the array lies on this machine and is such a one."""
        if self.location.local is None or not is_plain_blosc(self.array):
            return False
        try:
            return read_blosc(self.array, self.location, self.coding.most_stored, out)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from error

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Voxels that one stored file holds: a shard, or else a chunk."""
        d, h, w = self.array.shards or self.array.chunks
        return int(d), int(h), int(w)

    def chunk_names(self) -> Iterator[str]:
        """Names of the files that hold the voxels, relative to `location`, in array order."""
        counts = [math.ceil(n / b) for n, b in zip(self.shape, self.block_shape, strict=True)]
        for index in itertools.product(*map(range, counts)):
            yield self.array.metadata.encode_chunk_key(index)

    def metadata_name(self) -> str:
        """Name of the file that describes the array."""
        return ".zarray" if self.array.metadata.zarr_format == 2 else "zarr.json"

    def check_chunks(self) -> None:
        """Refuse an array of which a file is missing, cut short or far too long.

        zarr would read a missing chunk as fill value, and a short one of Blosc as noise. Only a
        local array is looked through; a remote one may have no listing.

        Raises
        ------
        InputError
            If a file is; the message names the first.
        """
        folder = self.location.local
        if folder is None:
            return
        names = list(self.chunk_names())
        missing = [name for name in names if not file_size(folder / name)]
        if missing:
            raise InputError(
                f"{self.where}: {len(missing)} of {len(names)} chunk files of {self.location} are "
                f"missing or empty, the first is {missing[0]}; copy the tomogram again (one that "
                "was written without its empty chunks has to be written with them)"
            )
        for name in names:
            if file_size(folder / name) > self.coding.most_stored:
                raise InputError(
                    f"{self.where}: chunk file {name} of {self.location} has "
                    f"{file_size(folder / name)} bytes, more than its voxels can take "
                    f"({self.coding.most_stored}); copy the tomogram again"
                )
        if is_blosc(self.array):
            for name in names:
                with (folder / name).open("rb") as file:
                    self.check_length(name, file.read(BLOSC_HEADER), file_size(folder / name))

    def check_length(self, name: str, head: bytes, size: int) -> None:
        """Refuse a file that is shorter than its Blosc header says; others check themselves.

        Parameters
        ----------
        name
            Of the file, relative to `location`.
        head
            Its first bytes, at least :data:`BLOSC_HEADER` of them.
        size
            Its length in bytes.

        Raises
        ------
        InputError
            If it is.
        """
        if not is_blosc(self.array) or name == self.metadata_name():
            return
        expected = int.from_bytes(head[12:BLOSC_HEADER], "little")
        if size < max(expected, BLOSC_HEADER):
            raise InputError(
                f"{self.where}: chunk file {name} of {self.location} is cut short: {size} bytes "
                f"instead of {max(expected, BLOSC_HEADER)}; copy the tomogram again"
            )


def open_volume(location: Location, where: str) -> ZarrVolume:
    """Open a zarr array of real numbers, (d, h, w), without reading its voxels.

    Raises
    ------
    InputError
        If there is no such array, or its dimensions, type or chunks can't be used.
    """
    if not any((location / name).exists() for name in (".zarray", "zarr.json")):
        raise InputError(f"{where}: no zarr array at {location}")
    store = GuardedStore(location.store())
    try:
        array = zarr.open_array(store, mode="r")
        if not isinstance(array, zarr.Array):
            raise InputError(f"{where}: {location} is no zarr array")
        shape, dtype = array.shape, np.dtype(array.dtype)
        chunks, block = array.chunks, array.shards or array.chunks
        if min((*chunks, *block), default=1) < 1 or not len(chunks) == len(block) == len(shape):
            raise ValueError(f"chunks of {block}")
    except InputError:
        raise
    except Exception as error:  # zarr raises many kinds for broken metadata
        detail = str(error).splitlines()[0][:200] if str(error) else ""
        raise InputError(
            f"{where}: broken zarr metadata at {location} ({type(error).__name__}: {detail})"
        ) from error
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"{where}: expected a volume (d, h, w), but {location} has shape {shape}")
    if dtype.kind not in "fiu":
        raise InputError(f"{where}: expected real numbers, but {location} holds {dtype}")
    for size in (chunks, block):
        _check_chunking(shape, size, dtype.itemsize, f"{where}: {location}")
    coding = chunk_coding(array, f"{where}: {location}")
    store.guard(coding, f"{where}: {location}")
    return ZarrVolume(array, location, where, coding)


def _check_chunking(
    shape: tuple[int, ...], block: tuple[int, ...], itemsize: int, where: str
) -> None:
    """Refuse sizes that no tomogram has and no memory holds."""
    n_chunks = math.prod(math.ceil(n / b) for n, b in zip(shape, block, strict=True))
    if math.prod(shape) > MAX_VOXELS or n_chunks > MAX_CHUNKS:
        raise InputError(
            f"{where}: shape {shape} in {n_chunks} chunks; at most {MAX_VOXELS:.0e} voxels in "
            f"{MAX_CHUNKS} chunks can be read; check the metadata or rewrite it in larger chunks"
        )
    if math.prod(block) * itemsize > MAX_CHUNK_BYTES:
        raise InputError(
            f"{where}: a chunk takes {math.prod(block) * itemsize / 2**30:.1f} GiB, at most "
            f"{MAX_CHUNK_BYTES / 2**30:.0f} can be read; rewrite it with smaller chunks"
        )

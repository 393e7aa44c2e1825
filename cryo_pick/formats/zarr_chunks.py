"""How the chunks of a zarr array are coded, and a store that checks them before they are decoded.

The metadata of an array names the codecs that its chunks go through, and zarr knows codecs that run
code (pickle) or that nothing is known of. Only those that a volume needs are let through, and no
chunk that would expand beyond its own voxels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.codecs import ShardingCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from cryo_pick.errors import InputError
from cryo_pick.files import file_size
from cryo_pick.formats.expansion import CODECS, check_expansion

FILTERS = ("adler32", "astype", "bitround", "crc32", "crc32c", "delta", "fixedscaleoffset",
           "fletcher32", "quantize", "shuffle", "transpose", "bytes")  # fmt: skip
"""Codecs beside the compressors that numbers go through."""
MAX_VOXEL_BYTES = 8
"""Of a number in a chunk, before or after a filter."""
SLACK = 2**16
"""Bytes that a chunk may have beyond its voxels: headers, checksums, tables."""
_MISSING = 2**64 - 1
_DTYPE_KEYS = ("dtype", "astype", "encode_dtype", "decode_dtype")
_INDEX_CODECS = ["bytes", "crc32c"]


@dataclass(frozen=True)
class ChunkCoding:
    """How the stored files of an array are coded.

    Attributes
    ----------
    compressor
        One of :data:`~cryo_pick.formats.expansion.CODECS`; None: none.
    most
        Bytes that a chunk, or in a shard an inner chunk, may decode to.
    n_inner
        Inner chunks of a shard; 0 where there are no shards.
    index_first
        Whether a shard begins with its index.
    """

    compressor: str | None
    most: int
    n_inner: int = 0
    index_first: bool = False

    @property
    def most_stored(self) -> int:
        """Bytes that a file may have; no compressor makes more of a chunk than this."""
        return max(1, self.n_inner) * (self.most + self.most // 16 + SLACK)

    def check(self, data: memoryview, whole: bool) -> None:
        """Refuse a file, or a part of a shard, that would expand to more than its voxels.

        Raises
        ------
        ValueError
            If it would.
        """
        if self.compressor is None:
            return
        parts = [data] if not (whole and self.n_inner) else self._inner(data)
        for part in parts:
            check_expansion(self.compressor, part, self.most)

    def _inner(self, data: memoryview) -> Iterable[memoryview]:
        """The inner chunks of a whole shard, as its index says."""
        size = 16 * self.n_inner
        index = data[:size] if self.index_first else data[len(data) - size - 4 :][:size]
        if len(index) < size:
            return []
        table = np.frombuffer(index, "<u8").reshape(-1, 2)
        return [data[o : o + n] for o, n in table.tolist() if o != _MISSING]


def chunk_coding(array: zarr.Array[Any], where: str) -> ChunkCoding:
    """The coding of an array of numbers, (d, h, w).

    Raises
    ------
    InputError
        If it has a codec that is not read.
    """
    voxels = math.prod(array.chunks)
    most = MAX_VOXEL_BYTES * voxels + SLACK
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        codecs = [
            *(metadata.filters or ()),
            *([metadata.compressor] if metadata.compressor else ()),
        ]
        return ChunkCoding(_compressor(codecs, where), most)
    codecs = list(metadata.codecs)
    shards = [c for c in codecs if isinstance(c, ShardingCodec)]
    if not shards:
        return ChunkCoding(_compressor(codecs, where), most)
    (shard,) = shards if len(codecs) == 1 else (None,)
    if shard is None or [_name(c) for c in shard.index_codecs] != _INDEX_CODECS:
        raise InputError(
            f"{where}: its shards are coded as {', '.join(map(_name, codecs))}; expected shards "
            f"that are not compressed themselves, with an index of {' and '.join(_INDEX_CODECS)}"
        )
    n_inner = math.prod(array.shards or ()) // voxels
    first = shard.index_location.value == "start"
    return ChunkCoding(_compressor(list(shard.codecs), where), most, n_inner, first)


def _compressor(codecs: Sequence[Any], where: str) -> str | None:
    """The one compressor among some codecs; None where there is none."""
    names = [_name(c) for c in codecs]
    found = [n for n in names if n in CODECS]
    other = [n for n in names if n not in CODECS and n not in FILTERS]
    if other or len(found) > 1:
        raise InputError(
            f"{where}: chunks coded with {', '.join(other or found)} are not read; expected at "
            f"most one of {', '.join(CODECS)}, and filters for numbers"
        )
    for codec in codecs:
        dtypes = [v for k, v in _settings(codec).items() if k in _DTYPE_KEYS and v is not None]
        if any(np.dtype(d).kind not in "fiu" for d in dtypes):
            raise InputError(f"{where}: filter {_name(codec)} makes no numbers ({dtypes})")
    return found[0] if found else None


def _name(codec: Any) -> str:
    """A codec's name, the same for zarr v2 and v3."""
    name = getattr(codec, "codec_id", None) or codec.to_dict()["name"]
    return str(name).removeprefix("numcodecs.")


def _settings(codec: Any) -> dict[str, Any]:
    if hasattr(codec, "get_config"):
        return dict(codec.get_config())
    return dict(codec.to_dict().get("configuration") or {})


class GuardedStore(WrapperStore[Store]):
    """A store whose chunks are checked before they are decoded, once `coding` is known.

    The first to know it is the one who opened the array, so it is set afterwards, by
    :meth:`guard`; until then a store gives metadata only.
    """

    def __init__(self, store: Store, guards: list[tuple[ChunkCoding, str]] | None = None) -> None:
        super().__init__(store)
        self._guards: list[tuple[ChunkCoding, str]] = [] if guards is None else guards

    def _with_store(self, store: Store) -> Self:
        return type(self)(store, self._guards)

    def guard(self, coding: ChunkCoding, where: str) -> None:
        """Check every chunk from now on; `where` is named in messages."""
        self._guards.append((coding, where))

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """A file or a part of one.

        Raises
        ------
        InputError
            If it is longer than its voxels can be, or would expand beyond them.
        """
        if not self._guards:
            return await super().get(key, prototype, byte_range)
        coding, where = self._guards[-1]
        if isinstance(self._store, LocalStore):
            size = file_size(self._store.root / key)
            if size > coding.most_stored:
                raise InputError(
                    f"{where}: chunk file {key} has {size} bytes, more than its voxels can take "
                    f"({coding.most_stored}); copy the tomogram again"
                )
        value = await super().get(key, prototype, byte_range)
        if value is not None:
            try:
                coding.check(value.as_numpy_array().data, byte_range is None)
            except ValueError as error:
                raise InputError(
                    f"{where}: chunk file {key} would expand beyond its voxels ({error}); "
                    "don't trust where it comes from"
                ) from error
        return value

"""Decoded volumes on the local disk, called after the content they were decoded from.

Training reads thousands of crops from each volume; from a memory map a crop costs as much as its
bytes, from compressed chunks it costs as much as the chunks it touches.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import atomic_path
from cryo_pick.formats.blosc_chunks import BLOSC_HEADER
from cryo_pick.formats.zarr_volume import ZarrVolume
from cryo_pick.tomogram import Tomogram

log = logging.getLogger(__name__)

_BLOCK_BYTES = 64 * 2**20
_VERSION = b"cryo-pick volume cache 1"

Slices = tuple[slice, slice, slice]


def default_cache_folder() -> Path:
    """``$CRYO_PICK_CACHE``, else ``cryo-pick`` in the user's cache folder."""
    if named := os.environ.get("CRYO_PICK_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cryo-pick"


def cached_tomogram(tomogram: Tomogram, cache_dir: str | Path | None = None) -> Tomogram:
    """The same tomogram, fit for reading many crops, and known to be finite.

    A volume in a zarr array is decoded once into ``<cache_dir>/<key>.npy``, where the key is a hash
    of the stored bytes; any other volume is only checked and kept as it is.

    Parameters
    ----------
    cache_dir
        None: :func:`default_cache_folder`.

    Returns
    -------
    Tomogram
        Of a zarr array: its volume is a read-only float32 ``np.memmap``.

    Raises
    ------
    InputError
        If a chunk is missing or damaged, or a voxel is NaN or infinite.
    ConfigError
        If the cache folder can't be written.
    """
    volume = tomogram.volume
    if not isinstance(volume, ZarrVolume):
        check_finite(volume, f"run {tomogram.run!r}")
        return tomogram
    folder = default_cache_folder() if cache_dir is None else Path(cache_dir)
    path = folder / f"{content_key(volume)}.npy"
    mapped = _open_cached(path, volume.shape)
    if mapped is None:
        log.info("%s: decoding into %s", volume.where, path)
        try:
            _decode(volume, path)
        except OSError as error:
            raise _unusable(path, error) from error
        mapped = _open_cached(path, volume.shape)
    if mapped is None:
        raise ConfigError(f"the cache {path} was damaged at once; choose another data.cache=DIR")
    return replace(tomogram, volume=mapped)


def stored_key(tomogram: Tomogram) -> str:
    """What identifies the stored voxels of a tomogram, whether it was decoded or not.

    Of a zarr array the :func:`content_key`, after which a file in the cache is called; of another
    file its size and time; of a volume in memory a hash of its voxels.

    Raises
    ------
    InputError
        If a chunk of a zarr array can't be read or is cut short.
    """
    if isinstance(tomogram.volume, ZarrVolume):
        return content_key(tomogram.volume)
    filename = getattr(tomogram.volume, "filename", None)
    if filename is None:
        voxels = np.ascontiguousarray(tomogram.array())
        return hashlib.blake2b(voxels.data, digest_size=20).hexdigest()
    path = Path(str(filename))
    if path.suffix == ".npy":
        return path.stem
    about = path.stat()
    return f"{about.st_size}:{about.st_mtime_ns}"


def file_key(tomogram: Tomogram) -> str:
    """What identifies a tomogram's files as they are now, without reading them where that is known.

    Names, sizes and times of the files of a zarr array on a local disk, so that to find out that
    hundreds of tomograms are as they were takes no time; a copy has another key. Of all else the
    :func:`stored_key`.

    Raises
    ------
    InputError
        As :func:`stored_key`.
    """
    volume = tomogram.volume
    if not isinstance(volume, ZarrVolume) or volume.location.local is None:
        return stored_key(tomogram)
    volume.check_chunks()
    digest = hashlib.blake2b(digest_size=20)
    for name in itertools.chain([volume.metadata_name()], volume.chunk_names()):
        about = (volume.location.local / name).stat()
        digest.update(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def content_key(volume: ZarrVolume) -> str:
    """Hash of an array's metadata and stored bytes: equal for copies, changed by any change.

    Raises
    ------
    InputError
        If a file is missing, can't be read, or is cut short or far too long.
    """
    volume.check_chunks()
    digest = hashlib.blake2b(_VERSION, digest_size=20)
    buffer = bytearray()  # used again: memory that is touched first costs more than to hash it
    for name in itertools.chain([volume.metadata_name()], volume.chunk_names()):
        try:
            content = (volume.location / name).read_into(buffer)
        except InputError as error:
            raise InputError(f"{volume.where}: {error}") from error
        with content:
            volume.check_length(name, bytes(content[:BLOSC_HEADER]), len(content))
            digest.update(f"\n{name} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def check_finite(volume: Any, where: str) -> None:
    """Refuse a volume with NaN or infinity; read block by block.

    Raises
    ------
    InputError
        If there is one; the message counts them.
    """
    if np.dtype(volume.dtype).kind != "f":
        return
    bad = sum(_count_bad(np.asarray(volume[block])) for block in _blocks(volume.shape, None))
    _refuse_bad(bad, volume.shape, where)


def _decode(volume: ZarrVolume, path: Path) -> None:
    """Write the volume as float32, one block of chunks in memory at a time."""
    bad = 0
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            offset = file.write(_header(volume.shape))
            allocate(file.fileno(), offset + 4 * math.prod(volume.shape))
        plane = 4 * volume.shape[1] * volume.shape[2]
        all_blocks = _blocks(volume.shape, volume.block_shape)
        for slab, blocks in itertools.groupby(all_blocks, lambda block: block[0]):
            shape = (slab.stop - slab.start, *volume.shape[1:])
            target = np.memmap(temporary, "<f4", "r+", offset + slab.start * plane, shape)
            for block in blocks:
                voxels = volume[block].astype(np.float32)
                bad += _count_bad(voxels)
                target[:, block[1], block[2]] = voxels
            target.flush()
            del target  # unmapped, so that its pages don't count as memory of this process
        _refuse_bad(bad, volume.shape, volume.where)


def _open_cached(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    """The cached volume, or None where there is none that is whole."""
    header = _header(shape)
    try:
        with path.open("rb") as file:
            whole = file.read(len(header)) == header
            whole &= os.fstat(file.fileno()).st_size == len(header) + 4 * math.prod(shape)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    if not whole:
        log.warning("%s: damaged; decoding again", path)
        return None
    return np.memmap(path, "<f4", "r", len(header), shape)


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"can't use the cache {path} ({error.strerror or error}); "
        "choose another folder with data.cache=DIR or CRYO_PICK_CACHE"
    )


def _header(shape: tuple[int, int, int]) -> bytes:
    """First bytes of an .npy file with a float32 volume."""
    file = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


def _blocks(shape: tuple[int, ...], chunk: tuple[int, int, int] | None) -> Iterator[Slices]:
    """Blocks that cover a volume, z slowest: rows of chunks along x."""
    d, h, w = shape
    cd, ch, _ = chunk or (max(1, _BLOCK_BYTES // (4 * h * w)), h, w)
    for z in range(0, d, cd):
        for y in range(0, h, ch):
            yield slice(z, min(z + cd, d)), slice(y, min(y + ch, h)), slice(0, w)


def _count_bad(voxels: NDArray[Any]) -> int:
    return int(voxels.size - np.count_nonzero(np.isfinite(voxels)))


def _refuse_bad(bad: int, shape: tuple[int, ...], where: str) -> None:
    if bad:
        raise InputError(
            f"{where}: {bad} of {math.prod(shape)} voxels are NaN or infinite; "
            "mask or reconstruct the tomogram again"
        )


def allocate(handle: int, size: int) -> None:
    """Give a file its size and claim the disk for it.

    A full disk is an error here, but a crash in a memory map.

    Parameters
    ----------
    handle
        File descriptor, open for writing.
    size
        Bytes.

    Raises
    ------
    OSError
        If there is no room.
    """
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:
        os.ftruncate(handle, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        os.ftruncate(handle, size)

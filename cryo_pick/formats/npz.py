"""Numpy archives from anywhere: no pickle, no more memory than the arrays take, no surprises."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 2**33
"""Unpacked size above which an archive is refused; a million candidates take 2 % of it."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npz(
    path: str | Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Arrays of numbers by name; what else is in the archive is not looked at.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        If it is no archive of numpy arrays, lacks one that is required, or holds objects or more
        bytes than it should.
    """
    if not Path(path).exists():
        raise FileNotFoundError(str(path))
    if not Path(path).is_file():
        raise ValueError("no regular file")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {i.filename: i.file_size for i in archive.infolist()}
            missing = [n for n in required if f"{n}.npy" not in sizes]
            if missing:
                raise ValueError(f"no array `{missing[0]}` in it")
            wanted = [n for n in (*required, *optional) if f"{n}.npy" in sizes]
            total = sum(sizes[f"{n}.npy"] for n in wanted)
            if total > MAX_BYTES:
                raise ValueError(f"its arrays unpack to {total} bytes, more than {MAX_BYTES}")
            return {n: _read_array(archive, f"{n}.npy", sizes[f"{n}.npy"]) for n in wanted}
    except ValueError:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for broken files
        raise ValueError(f"{type(error).__name__}: {_first_line(error)}") from error


def _read_array(archive: zipfile.ZipFile, name: str, size: int) -> NDArray[Any]:
    with archive.open(name) as member:
        _check_header(member, name, size)
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        return array


def _check_header(member: IO[bytes], name: str, size: int) -> None:
    """Refuse objects, which would be pickled, and a shape that the bytes can't fill.

    numpy allocates what the header says before it reads on.
    """
    version = np.lib.format.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"{name}: version {version} of the npy format is not read")
    shape, _, dtype = _HEADERS[version](member)
    if dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected an array of numbers, but it holds {dtype}")
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{name}: its header promises shape {shape}, but it has {size} bytes")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else "no details"

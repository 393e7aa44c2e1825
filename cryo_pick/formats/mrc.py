"""MRC volumes, memory-mapped."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from mrcfile import utils
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector, as_vector
from cryo_pick.errors import InputError
from cryo_pick.files import atomic_path
from cryo_pick.tomogram import Tomogram

log = logging.getLogger(__name__)

MRC_SUFFIXES = (".mrc", ".rec", ".map")
"""Endings of files that are taken for MRC."""
_HEADER_BYTES = 1024
_SPACING_TOLERANCE = 0.02


def open_mrc(path: str | Path, voxel_spacing: float | None = None) -> Tomogram:
    """Map an MRC volume; nothing is read but the header.

    Parameters
    ----------
    voxel_spacing
        Å; taken instead of the header's, which many programs leave at 0 or 1.

    Returns
    -------
    Tomogram
        Its run is the file's stem, its origin the header's.

    Raises
    ------
    InputError
        If the file is broken, no volume of real numbers in z y x, or its spacing is unknown.
    """
    header = _read_header(path)
    try:
        dtype = utils.data_dtype_from_header(header)
        shape = tuple(int(n) for n in utils.data_shape_from_header(header))
        offset = _HEADER_BYTES + int(header.nsymbt)
    except Exception as error:  # mrcfile raises many kinds for headers that make no sense
        raise InputError(f"{path}: broken MRC header ({error})") from error
    axes = tuple(int(n) for n in (header.mapc, header.mapr, header.maps))
    if axes not in ((1, 2, 3), (0, 0, 0)):
        raise InputError(
            f"{path}: expected columns, rows and sections along x, y, z (1, 2, 3), but the MRC "
            f"header says {axes}; write it again in that order"
        )
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"{path}: expected a volume (d, h, w), but the MRC header says {shape}")
    if np.dtype(dtype).kind not in "fiu":
        raise InputError(f"{path}: expected real numbers, but MRC mode {header.mode} is {dtype}")
    needed = offset + int(np.dtype(dtype).itemsize) * shape[0] * shape[1] * shape[2]
    size = Path(path).stat().st_size
    if offset < _HEADER_BYTES or size < needed:
        raise InputError(
            f"{path}: cut short: a volume of {shape} takes {needed} bytes, but the file has {size}"
        )
    spacing = _spacing(header, voxel_spacing, path)
    origin = _origin(header, path)
    volume = np.memmap(path, dtype, "r", offset, shape)
    return Tomogram(volume, spacing, origin, Path(path).stem)


def write_mrc(
    path: str | Path,
    volume: NDArray[Any],
    voxel_spacing: float | Vector,
    origin: Vector = (0.0, 0.0, 0.0),
) -> None:
    """Write an MRC volume, whole or not at all.

    Parameters
    ----------
    volume : (d, h, w) array
        Of int8, int16, uint16, float16 or float32.
    voxel_spacing, origin : Å, zyx

    Raises
    ------
    ValueError
        If `volume` is not 3D or of a type that MRC lacks.
    """
    if volume.ndim != 3:
        raise ValueError(f"Expected `volume` to be (d, h, w), but got shape {volume.shape}.")
    z, y, x = as_vector(voxel_spacing, "voxel_spacing")
    with atomic_path(path) as temporary, mrcfile.new(temporary) as file:
        file.set_data(volume)
        file.set_volume()
        file.voxel_size = (x, y, z)
        file.header.origin = tuple(origin)[::-1]


def _read_header(path: str | Path) -> Any:
    """Header of an MRC file; what mrcfile finds odd in it is logged."""
    try:
        with warnings.catch_warnings(record=True) as odd:
            warnings.simplefilter("always")
            with mrcfile.open(path, permissive=True, header_only=True) as file:
                header = file.header
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # mrcfile raises many kinds for files that are no MRC
        raise InputError(f"{path}: no MRC file, or a damaged one ({error})") from error
    for warning in odd:
        log.warning("%s: %s", path, warning.message)
    if header is None:
        raise InputError(f"{path}: no MRC file, or a damaged one (no header)")
    return header


def _spacing(header: Any, given: float | None, path: str | Path) -> Vector:
    """Å, zyx: what is given, or else what the header says."""
    cell = [float(header.cella[axis]) for axis in "zyx"]
    counts = [int(header[name]) for name in ("mz", "my", "mx")]
    found = [c / n if n > 0 else 0.0 for c, n in zip(cell, counts, strict=True)]
    known = all(np.isfinite(s) and s > 0 and abs(s - 1) > 1e-4 for s in found)
    if given is not None:
        try:
            vector = as_vector(given, "voxel_spacing")
        except ValueError as error:
            raise InputError(f"{path}: {error}") from error
        if min(vector) <= 0:
            raise InputError(f"{path}: expected a voxel spacing above 0 Å, but got {given}")
        off = max(abs(f / v - 1) for f, v in zip(found, vector, strict=True))
        if known and off > _SPACING_TOLERANCE:
            log.warning("%s: taking the given spacing of %s Å, not %s Å", path, given, found)
        return vector
    if not known:
        shown = ", ".join(f"{s:g}" for s in found)
        raise InputError(
            f"{path}: the voxel spacing in the MRC header is {shown} Å (z, y, x), "
            "which means unknown; give it with data.voxel_spacing=Å"
        )
    z, y, x = found
    return z, y, x


def _origin(header: Any, path: str | Path) -> Vector:
    """Å, zyx, of the centre of voxel 0."""
    z, y, x = (float(header.origin[axis]) for axis in "zyx")
    if not np.isfinite((z, y, x)).all():
        raise InputError(f"{path}: field `origin` of the MRC header is {z}, {y}, {x} (z, y, x)")
    if z or y or x:
        log.info("%s: the MRC header puts voxel 0 at %g, %g, %g Å (z, y, x)", path, z, y, x)
    return z, y, x

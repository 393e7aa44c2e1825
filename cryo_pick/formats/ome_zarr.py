"""OME-Zarr images, 0.4 (zarr v2) and 0.5 (zarr v3), with units and transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from cryo_pick.coordinates import Vector, as_vector
from cryo_pick.errors import InputError
from cryo_pick.files import atomic_path
from cryo_pick.formats.location import Location
from cryo_pick.formats.ome_metadata import LevelMetadata, parse_level
from cryo_pick.formats.zarr_volume import ZarrVolume, open_volume

CHUNK = 128
"""Voxels along each axis of a chunk that is written."""


@dataclass(frozen=True)
class OmeZarr:
    """One level of an OME-Zarr image.

    Attributes
    ----------
    array : (d, h, w) ZarrVolume
        Lazy; slicing it reads the chunks that are needed.
    voxel_spacing, origin : Å, zyx
        Of this level; the origin is the centre of voxel (0, 0, 0).
    """

    array: ZarrVolume
    voxel_spacing: Vector
    origin: Vector


def is_ome_zarr(location: Location) -> bool:
    """Whether a folder has the metadata of an OME-Zarr image (or of something that should)."""
    return any((location / name).exists() for name in (".zattrs", ".zgroup", "zarr.json"))


def read_attributes(location: Location) -> Mapping[str, Any]:
    """Attributes of the image's group, the ``ome`` key of version 0.5 unwrapped.

    Raises
    ------
    InputError
        If there is no group metadata or it is broken.
    """
    if (location / ".zattrs").exists():
        attributes = (location / ".zattrs").read_json()
    elif (location / "zarr.json").exists():
        group = (location / "zarr.json").read_json()
        attributes = group.get("attributes") if isinstance(group, dict) else None
        if isinstance(attributes, dict):
            attributes = attributes.get("ome", attributes)
    else:
        what = "no OME-Zarr metadata (.zattrs or zarr.json)" if location.exists() else "not found"
        raise InputError(f"{location}: {what}; expected an OME-Zarr image")
    if not isinstance(attributes, dict):
        raise InputError(f"{location}: no attributes in the OME-Zarr metadata")
    return attributes


def open_ome_zarr(location: str | Path | Location, level: int = 0, run: str = "") -> OmeZarr:
    """Open one level of an OME-Zarr image without reading its voxels.

    Parameters
    ----------
    location
        Folder of the image: a path, or a URL that fsspec knows.
    level
        0 is the finest.
    run
        Named in error messages.

    Raises
    ------
    InputError
        If the image is missing, broken or not a 3D volume in z y x with a known spacing.
    """
    place = Location.of(location)
    where = f"run {run!r}: {place}" if run else str(place)
    metadata: LevelMetadata = parse_level(read_attributes(place), level, where)
    volume = open_volume(place / metadata.path, where)
    return OmeZarr(volume, metadata.voxel_spacing, metadata.origin)


def halve(volume: NDArray[Any]) -> NDArray[np.float32]:
    """Mean over blocks of 2x2x2 voxels; an odd last plane is left out, an axis of 1 is kept."""
    for axis in range(3):
        n = volume.shape[axis] // 2
        if n:
            first, second = (np.take(volume, np.arange(k, 2 * n, 2), axis) for k in (0, 1))
            volume = (first.astype(np.float32) + second.astype(np.float32)) / 2
    return np.asarray(volume, np.float32)


def write_ome_zarr(
    path: str | Path,
    volume: NDArray[Any],
    voxel_spacing: float | Sequence[float],
    levels: int = 3,
    version: str = "0.4",
    origin: Vector = (0.0, 0.0, 0.0),
) -> None:
    """Write a multiscale OME-Zarr image, each level a 2x mean of the one above; whole or not.

    Parameters
    ----------
    path
        Folder to write; one that is there is replaced.
    volume : (d, h, w) array
        Level 0, kept in its dtype; the other levels are float32.
    voxel_spacing, origin : Å, zyx
        The centre of a coarser voxel lies between the fine ones, as its translation says.
    version
        ``"0.4"`` writes zarr v2, ``"0.5"`` zarr v3.

    Raises
    ------
    ValueError
        If `volume` is not 3D, or `levels` or `version` is none that can be written.
    """
    if volume.ndim != 3 or min(volume.shape) < 1:
        raise ValueError(f"Expected `volume` to be (d, h, w), but got shape {volume.shape}.")
    if version not in ("0.4", "0.5") or levels < 1:
        raise ValueError(
            "Expected `version` 0.4 or 0.5 and `levels` of 1 or more, "
            f"but got {version!r} and {levels}."
        )
    spacing = as_vector(voxel_spacing, "voxel_spacing")
    with atomic_path(path) as temporary:
        store = LocalStore(temporary)
        group = zarr.open_group(store, mode="w", zarr_format=2 if version == "0.4" else 3)
        datasets = []
        factor = np.ones(3)
        for level in range(levels):
            _write_level(store, str(level), volume, version)
            shift = np.asarray(origin) + (factor - 1) / 2 * spacing
            datasets.append(_dataset(str(level), factor * spacing, shift))
            factor *= [2 if n > 1 else 1 for n in volume.shape]
            volume = halve(volume) if level + 1 < levels else volume
        multiscales: list[Any] = [{"name": "/", "axes": _AXES, "datasets": datasets}]
        if version == "0.4":
            group.attrs["multiscales"] = [{"version": "0.4", **multiscales[0]}]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}


_AXES: list[Any] = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]


def _dataset(path: str, scale: NDArray[Any], translation: NDArray[Any]) -> dict[str, Any]:
    """Metadata of one level; a translation of zero is left out, as other writers do."""
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale.tolist()}]
    if translation.any():
        transforms.append({"type": "translation", "translation": translation.tolist()})
    return {"path": path, "coordinateTransformations": transforms}


def _write_level(store: LocalStore, name: str, volume: NDArray[Any], version: str) -> None:
    """Write every chunk, empty ones too, so that a missing file always means a broken copy."""
    v2 = version == "0.4"
    array = zarr.create_array(
        store,
        name=name,
        shape=volume.shape,
        dtype=volume.dtype,
        chunks=tuple(min(CHUNK, n) for n in volume.shape),
        zarr_format=2 if v2 else 3,
        chunk_key_encoding={"name": "v2" if v2 else "default", "separator": "/"},
        dimension_names=None if v2 else tuple("zyx"),
        config={"write_empty_chunks": True},
    )
    array[:] = volume

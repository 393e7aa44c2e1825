"""Tomograms in and out of a copick project, as MRC and OME-Zarr."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryo_pick.errors import ConfigError
from cryo_pick.formats.copick import CopickProject
from cryo_pick.formats.inputs import InputRun
from cryo_pick.formats.mrc import write_mrc
from cryo_pick.formats.ome_zarr import write_ome_zarr
from cryo_pick.tomogram import Tomogram

logger = logging.getLogger(__name__)

VOLUMES = {
    "mrc": "MRC volumes",
    "ome-zarr": "OME-Zarr 0.4 volumes (zarr v2)",
    "ome-zarr-0.5": "OME-Zarr 0.5 volumes (zarr v3)",
}
"""Formats of volumes."""
SUFFIXES = {"mrc": ".mrc", "ome-zarr": ".zarr", "ome-zarr-0.5": ".zarr"}
_MRC_TYPES = ("int8", "int16", "uint16", "float16", "float32")


def volume_path(out: Path, format_: str, run: str, n_runs: int) -> Path:
    """Where a run's volume goes: into the folder `out`, or a single one to `out` itself.

    Raises
    ------
    ConfigError
        If `out` is called like a volume, and there are several.
    """
    if out.name.lower().endswith(SUFFIXES[format_]):
        if n_runs > 1:
            raise ConfigError(f"--out {out}: there are {n_runs} volumes; give a folder")
        return out
    return out / f"{run}{SUFFIXES[format_]}"


def export_volumes(runs: Sequence[InputRun], format_: str, out: Path) -> list[Path]:
    """Write the tomograms of runs; the files.

    Raises
    ------
    InputError
        If one can't be read.
    ConfigError
        If `out` can hold only one.
    """
    written = []
    for item in runs:
        path = volume_path(out, format_, item.run, len(runs))
        write_volume(path, item.open(), format_)
        logger.info("%s: %s", item.run, path)
        written.append(path)
    return written


def write_volume(path: Path, tomogram: Tomogram, format_: str) -> None:
    """Write one tomogram with its spacing and origin; MRC has no 64-bit and no 32-bit integers."""
    volume = np.asarray(tomogram.volume[:])
    if format_ == "mrc":
        kept = volume if volume.dtype.name in _MRC_TYPES else volume.astype(np.float32)
        write_mrc(path, kept, tomogram.voxel_spacing, tomogram.origin)
        return
    version = "0.5" if format_.endswith("0.5") else "0.4"
    write_ome_zarr(path, volume, tomogram.voxel_spacing, version=version, origin=tomogram.origin)


def import_volumes(runs: Sequence[InputRun], project: CopickProject, tomo_type: str) -> list[Path]:
    """Write tomograms into a project's static root as OME-Zarr 0.4; the folders.

    Raises
    ------
    InputError
        If one can't be read, or a name can't be used.
    """
    written = []
    for item in runs:
        tomogram = item.open()
        volume = np.asarray(tomogram.volume[:])
        path = project.add_tomogram(
            item.run, volume, tomogram.voxel_spacing, tomo_type, origin=tomogram.origin
        )
        logger.info("%s: %s", item.run, path)
        written.append(path)
    return written

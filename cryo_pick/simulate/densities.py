"""Densities of real molecules from a folder, instead of the built-in ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryo_pick.coordinates import Vector
from cryo_pick.errors import InputError, raise_all
from cryo_pick.formats.mrc import open_mrc
from cryo_pick.formats.npz import read_npz
from cryo_pick.objects import ParticleTypes
from cryo_pick.simulate.density import Density, Volume, normalize_bulk, resample
from cryo_pick.simulate.library import Library, assemble_library

NPZ_SPACING: Vector = (10.0, 10.0, 10.0)
"""Å; an npz of densities has no header to say it."""

SUFFIXES = (".npz", ".mrc", ".map", ".rec")

PDB_IDS: dict[str, tuple[str, ...]] = {
    "apo-ferritin": ("4v1w", "6pxm"),
    "beta-amylase": ("1fa2", "2cg9"),
    "beta-galactosidase": ("6x1q", "1f4a"),
    "ribosome": ("6ek0", "6qzp"),
    "thyroglobulin": ("6scj", "7n4y"),
    "virus-like-particle": ("6n4v", "8tux"),
}
"""File names that stand for a class beside its own name: the CZII challenge's, then PolNet's.

PolNet has no beta-amylase; 2cg9 (Hsp90) is of its size and mass.
"""


def read_density(path: Path) -> tuple[Volume, Vector]:
    """A density map (d, h, w), zyx, and its voxel spacing in Å, zyx.

    Parameters
    ----------
    path
        An npz with an array `density` at 10 Å, or an MRC map with its own voxel size.

    Raises
    ------
    InputError
        If it can't be read, isn't a finite 3D map, or an MRC header gives no voxel size.
    """
    if path.suffix.lower() == ".npz":
        grid, spacing = _read_npz(path), NPZ_SPACING
    else:
        tomogram = open_mrc(path)
        grid, spacing = tomogram.array(), tomogram.voxel_spacing
    if grid.ndim != 3 or not grid.size:
        raise InputError(f"{path}: expected a 3D density map, but got shape {grid.shape}")
    n_bad = int((~np.isfinite(grid)).sum())
    if n_bad:
        raise InputError(f"{path}: {n_bad} values of the density are NaN or infinite")
    return grid, spacing


def _read_npz(path: Path) -> Volume:
    try:
        return np.asarray(read_npz(path, ("density",))["density"], np.float32)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read as an npz file ({error})") from error


def match_files(files: list[Path], types: ParticleTypes) -> tuple[dict[str, Path], list[Path]]:
    """Which file holds which class, by file name, and the files that hold none.

    A file is a class's if it is called after the object or one of its PDB ids, in any case.

    Raises
    ------
    InputError
        If a class has no file or several; every such class is listed.
    """
    chosen: dict[str, Path] = {}
    problems: list[str] = []
    for kind in types:
        stems = (kind.name.lower(), *PDB_IDS.get(kind.name, ()))
        found = [f for f in files if f.stem.lower() in stems]
        if not found:
            problems.append(f"{kind.name}: no file called {' or '.join(stems)} (.npz or .mrc)")
        elif len(found) > 1:
            problems.append(f"{kind.name}: several files, {', '.join(f.name for f in found)}")
        else:
            chosen[kind.name] = found[0]
    raise_all(problems, InputError, "densities")
    used = set(chosen.values())
    return chosen, [f for f in files if f not in used]


def load_density(name: str, path: Path, voxel_spacing: float) -> Density:
    """Density of a file at a voxel spacing in Å, normalised and centred on its mass.

    Raises
    ------
    InputError
        If the file can't be used.
    """
    grid, spacing = read_density(path)
    try:
        return Density(name, normalize_bulk(resample(grid, spacing, voxel_spacing)), voxel_spacing)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def load_library(folder: Path, types: ParticleTypes, voxel_spacing: float) -> Library:
    """Library of a folder of density maps: one per class, and look-alikes from all other files.

    Raises
    ------
    InputError
        If the folder isn't there, a class has no file or several, or a file can't be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of densities (--densities)")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    try:
        chosen, others = match_files(files, types)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    return assemble_library(
        types,
        [load_density(t.name, chosen[t.name], voxel_spacing) for t in types],
        [load_density(f.stem, f, voxel_spacing) for f in others],
    )

"""Where picks go: a CSV, a STAR file, a folder, a copick project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryo_pick.coordinates import Vector, as_vector
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.picks_csv import write_csv
from cryo_pick.formats.star import write_star
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

SUFFIXES = (".csv", ".star")


def output_places(out: Path) -> tuple[Path, Path]:
    """Folder of the results, and file of the picks, for what `--out` says.

    ``DIR`` gives DIR and DIR/picks.csv; ``NAME.csv`` or ``NAME.star`` gives NAME.predict and that
    file.

    Raises
    ------
    ConfigError
        If the name has another ending that looks like a file's, or what is there is in the way.
    """
    if out.suffix.lower() in SUFFIXES:
        if out.is_dir():
            raise ConfigError(
                f"--out {out}: a folder is in the way; give a file name or another folder"
            )
        return out.with_name(out.stem + ".predict"), out
    if out.is_file():
        raise ConfigError(
            f"--out {out}: a file is in the way; give a folder, or a name ending in .csv or .star"
        )
    return out, out / "picks.csv"


def check_picks_path(path: Path) -> None:
    """Refuse a file name that says no format.

    Raises
    ------
    ConfigError
        If it ends neither in .csv nor in .star.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out {path}: expected a name ending in .csv or .star")


def write_picks_file(
    path: Path, picks: Mapping[str, Picks], types: ParticleTypes, predictions: Path
) -> None:
    """Write picks as the name says; a STAR file needs the spacings kept in `predictions`."""
    if path.suffix.lower() == ".star":
        spacings, origins = _grids(predictions)
        write_star(path, picks, types, spacings, origins)
    else:
        write_csv(path, picks, types)


def _grids(predictions: Path) -> tuple[dict[str, float], dict[str, Vector]]:
    """Å per voxel (mean over axes: STAR has one number) and origin of each predicted run."""
    spacings: dict[str, float] = {}
    origins: dict[str, Vector] = {}
    for file in sorted((predictions / "runs").glob("*/candidates.npz")):
        about = read_candidates(file).metadata
        try:
            spacing = as_vector(about["voxel_spacing"], "voxel_spacing")
            origins[file.parent.name] = as_vector(about["origin"], "origin")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{file}: no voxel_spacing and origin in it, which a STAR file needs ({error}); "
                "predict again, or write a .csv"
            ) from error
        spacings[file.parent.name] = sum(spacing) / 3
    return spacings, origins

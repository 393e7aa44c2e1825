"""Size, voxel spacing and origin of the tomograms that picks come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryo_pick.coordinates import as_vector
from cryo_pick.errors import ConfigError
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.choices import choose_origin
from cryo_pick.formats.copick import CopickProject, open_project
from cryo_pick.formats.grid import (
    Grid,
    Shape,
    grid_of_tomogram,
    read_unbinned,
    whole_shape,
    with_unbinned,
)
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.picks_file import PREDICTED
from cryo_pick.settings import DataSettings


@dataclass(frozen=True)
class Geometry:
    """What is known of the tomograms that picks were made in.

    Attributes
    ----------
    grids
        By run.
    default
        Of every other run.
    unbinned
        Shape (zyx) and pixel size (Å) of unbinned tomograms, by their names in RELION.
    """

    grids: dict[str, Grid] = field(default_factory=dict)
    default: Grid = field(default_factory=Grid)
    unbinned: dict[str, tuple[Shape, float]] = field(default_factory=dict)

    def grid(self, run: str, other_name: str) -> Grid:
        """Grid of a run that another program calls `other_name`."""
        unbinned = self.unbinned.get(other_name) or self.unbinned.get(run)
        return with_unbinned(self.grids.get(run, self.default), unbinned)


def find_geometry(
    tomograms: Sequence[str | Path],
    settings: DataSettings,
    size: Sequence[int] | None = None,
    unbinned: str | Path | None = None,
) -> Geometry:
    """Read the grids of tomograms from their headers, and take those that are given.

    Parameters
    ----------
    tomograms
        copick projects, OME-Zarr, MRC, folders of them, or folders made by `predict`.
    settings
        Which tomograms; their voxel spacing and origin where no file says them.
    size : voxels, zyx
        Of tomograms that are not there.
    unbinned
        RELION's tomograms.star.

    Raises
    ------
    InputError
        If a file can't be used.
    ConfigError
        If the size or the spacing is none.
    """
    grids: dict[str, Grid] = {}
    for path in tomograms:
        folder = Path(path)
        if "://" not in str(path) and (folder / "runs").is_dir():
            grids |= _predicted_grids(folder)
            continue
        plain = replace(settings, origin=None, origin_voxels=None)
        for item in find_inputs(path, plain):
            grids[item.run] = grid_of_tomogram(item.open(), settings)
    try:
        shape = None if size is None else whole_shape(size)
        given = settings.voxel_spacing
        spacing = None if given is None else as_vector(given, "voxel spacing")
        if spacing is not None and min(spacing) <= 0:
            raise ValueError(f"expected a voxel spacing above 0 Å, but got {given}")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    zero = (0.0, 0.0, 0.0)
    origin = choose_origin(zero, spacing or zero, settings)
    known = {} if unbinned is None else read_unbinned(unbinned)
    return Geometry(grids, Grid(shape, spacing, origin), known)


def _predicted_grids(folder: Path) -> dict[str, Grid]:
    """Grids that `predict` kept beside its candidates."""
    grids = {}
    for file in sorted((folder / "runs").glob("*/candidates.npz")):
        about = read_candidates(file).metadata
        shape = whole_shape(about["shape"]) if "shape" in about else None
        spacing = as_vector(about["voxel_spacing"], "voxel_spacing")
        origin = as_vector(about["origin"], "origin")
        grids[file.parent.name] = Grid(shape, spacing, origin, origin)
    return grids


def tomograms_of(source: str | Path, size: Sequence[int] | None = None) -> list[str]:
    """Where the tomograms of picks are: a project or a folder made by `predict` has them itself.

    Parameters
    ----------
    size
        Given by hand, so that no tomogram is asked for.
    """
    folder = Path(source)
    if size is not None or folder.suffix.lower() in (".csv", ".star"):
        return []
    if (folder / PREDICTED).is_file():
        return [str(source)]
    return [str(source)] if _has_tomograms(open_project(source)) else []


def _has_tomograms(project: CopickProject) -> bool:
    return any(project.voxel_spacings(run) for run in project.runs)


def known_runs(geometry: Geometry, project: CopickProject | None) -> frozenset[str] | None:
    """Runs that an import has to hit; None where nothing says them."""
    runs = set(geometry.grids) | set(project.runs if project else ())
    return frozenset(runs) or None

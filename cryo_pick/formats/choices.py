"""What the data settings choose: runs, and where voxel 0 lies."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick.closest import closest_hint
from cryo_pick.coordinates import Vector, as_vector
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.settings import DataSettings


def choose_origin(file_origin: Vector, voxel_spacing: Vector, settings: DataSettings) -> Vector:
    """Origin in Å, zyx: what `settings` says, or else what the file says.

    Raises
    ------
    ConfigError
        If `settings` gives it both in Å and in voxels, or not as 1 or 3 numbers.
    """
    if settings.origin is not None and settings.origin_voxels is not None:
        raise ConfigError("give data.origin or data.origin_voxels, not both")
    if settings.origin_voxels is not None:
        z, y, x = (settings.origin_voxels * s for s in voxel_spacing)
        return z, y, x
    if settings.origin is None:
        return file_origin
    try:
        return as_vector(settings.origin, "data.origin")
    except ValueError as error:
        raise ConfigError(str(error)) from error


def choose_runs(runs: Sequence[str], settings: DataSettings, where: str) -> list[str]:
    """The runs that `settings` names, in the order of `runs`.

    Raises
    ------
    InputError
        If it names one that isn't there; the message shows the closest names.
    """
    there = set(runs)
    for field in ("runs", "exclude_runs"):
        for name in getattr(settings, field) or []:
            if name not in there:
                raise InputError(
                    f"{where}: data.{field}: no run {name!r}; {closest_hint(name, runs)}"
                )
    named = there if settings.runs is None else set(settings.runs)
    left_out = set(settings.exclude_runs)
    return [r for r in runs if r in named and r not in left_out]

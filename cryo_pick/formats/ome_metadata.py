"""The OME-Zarr multiscales metadata: axes, units and transforms of one level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryo_pick.coordinates import Vector
from cryo_pick.errors import InputError

ANGSTROM_PER_UNIT = {
    "angstrom": 1.0,
    "picometer": 0.01,
    "nanometer": 10.0,
    "micrometer": 1e4,
    "millimeter": 1e7,
    "meter": 1e10,
}
"""Length units of OME-Zarr that a tomogram could come in. An axis without unit is in Å (copick)."""


@dataclass(frozen=True)
class LevelMetadata:
    """Where one level of an image is, and where in space.

    Attributes
    ----------
    path
        Of the array, relative to the image's folder.
    voxel_spacing, origin : Å, zyx
    """

    path: str
    voxel_spacing: Vector
    origin: Vector


def parse_level(attributes: Mapping[str, Any], level: int, where: str) -> LevelMetadata:
    """Spacing and origin of one level, from all transforms that apply to it.

    The transforms of a dataset map voxel indices to physical units, those of the whole image
    come after them (OME-Zarr 0.4, section 3.4).

    Parameters
    ----------
    attributes
        With the key ``multiscales``.
    where
        Named in error messages.

    Raises
    ------
    InputError
        If something is missing or can't be used.
    """
    try:
        image = _first(attributes.get("multiscales"), "multiscales")
        units = _axis_units(image.get("axes"))
        datasets = image.get("datasets")
        if not isinstance(datasets, list) or not datasets:
            raise _Unusable("`datasets` lists no level")
        if not -len(datasets) <= level < len(datasets):
            raise _Unusable(f"has levels 0 to {len(datasets) - 1}, but level {level} was asked for")
        dataset = datasets[level]
        if not isinstance(dataset, dict):
            raise _Unusable(f"level {level} is not described by an object")
        path = _array_path(dataset.get("path"))
        own = _transforms(dataset.get("coordinateTransformations"), f"level {level}")
        if not any(kind == "scale" for kind, _ in own):
            raise _Unusable(f"level {level} has no scale, so its voxel spacing is unknown")
        shared = _transforms(image.get("coordinateTransformations") or [], "the image")
        spacing, origin = _compose(own + shared)
    except _Unusable as error:
        raise InputError(f"{where}: OME-Zarr metadata: {error}") from None
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"{where}: OME-Zarr metadata: expected a scale above 0, but got {spacing}")
    z, y, x = (s * u for s, u in zip(spacing, units, strict=True))
    oz, oy, ox = (o * u for o, u in zip(origin, units, strict=True))
    return LevelMetadata(path, (z, y, x), (oz, oy, ox))


class _Unusable(Exception):
    """What is wrong with the metadata."""


def _first(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        raise _Unusable(f"`{name}` is missing or empty; expected a list of objects")
    return value[0]


def _array_path(value: object) -> str:
    """Path of the level's array, which must lie inside the image."""
    parts = value.split("/") if isinstance(value, str) else [""]
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise _Unusable(f"expected a relative `path` inside the image, but got {value!r}")
    return "/".join(parts)


def _axis_units(axes: object) -> list[float]:
    """Å per unit of the axes, which must be z, y, x."""
    if not isinstance(axes, list) or not all(isinstance(a, dict) for a in axes):
        raise _Unusable("`axes` is missing; expected version 0.4 or 0.5 with axes z, y, x")
    names = [a.get("name") for a in axes]
    if names != ["z", "y", "x"]:
        raise _Unusable(f"expected the axes z, y, x, but got {', '.join(map(str, names))}")
    units = []
    for axis in axes:
        unit = axis.get("unit") or "angstrom"
        if not isinstance(unit, str) or unit not in ANGSTROM_PER_UNIT:
            known = ", ".join(ANGSTROM_PER_UNIT)
            raise _Unusable(f"unit of {axis['name']}: expected one of {known}; got {unit!r:.40}")
        units.append(ANGSTROM_PER_UNIT[unit])
    return units


def _transforms(value: object, whose: str) -> list[tuple[str, list[float]]]:
    """Pairs of kind and three numbers; identity left out."""
    if not isinstance(value, list):
        raise _Unusable(f"{whose} has no list of `coordinateTransformations`")
    result = []
    for item in value:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "identity":
            continue
        if kind not in ("scale", "translation"):
            raise _Unusable(f"{whose} has a transform of type {kind!r}; known: scale, translation")
        numbers = item.get(kind)
        if not _three_numbers(numbers):
            raise _Unusable(f"expected the {kind} of {whose} to be 3 numbers, but got {numbers!r}")
        result.append((str(kind), [float(n) for n in numbers]))
    return result


def _three_numbers(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
        and all(abs(n) < 1e12 for n in value)  # False for NaN too
    )


def _compose(transforms: list[tuple[str, list[float]]]) -> tuple[list[float], list[float]]:
    """Spacing and origin after the transforms, in order."""
    spacing, origin = [1.0] * 3, [0.0] * 3
    for kind, numbers in transforms:
        if kind == "scale":
            spacing = [s * n for s, n in zip(spacing, numbers, strict=True)]
            origin = [o * n for o, n in zip(origin, numbers, strict=True)]
        else:
            origin = [o + n for o, n in zip(origin, numbers, strict=True)]
    return spacing, origin

"""The config file of a copick project: its objects and its roots."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryo_pick.errors import InputError, raise_all
from cryo_pick.formats.location import Location
from cryo_pick.objects import CZII_TYPES, ParticleType, ParticleTypes

log = logging.getLogger(__name__)

CONFIG_NAME = "copick_config.json"
"""Name of the config that is written; any JSON file with `pickable_objects` is read."""
BARE_ROOTS = ("overlay", "static")
"""Folders of a project that has no config, as the CZII challenge gives it."""
THRESHOLD_KEY = "score_threshold"
"""Key of an object's metadata that holds the fitted threshold."""


def is_bare_project(place: Location) -> bool:
    """Whether a folder has a project's roots, as the CZII challenge's download, but no config."""
    return any((place / root / "ExperimentRuns").is_folder() for root in BARE_ROOTS)


def bare_config() -> dict[str, Any]:
    """What the config of the CZII challenge's download would say: its objects, and both roots."""
    roots = {f"{root}_root": root for root in BARE_ROOTS}
    return {"pickable_objects": objects_json(CZII_TYPES), **roots}


@functools.cache
def _say_once(text: str) -> None:
    """Log it; a project is opened several times in one command."""
    log.info("%s", text)


def find_config(place: Location) -> Location:
    """Config file of a project: `place` itself, or the one in the folder `place`.

    Of a folder with the roots of the CZII challenge's download and no config, it is the file that
    would be there; :func:`read_config` knows what it would say.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    if not place.is_folder():
        if not place.exists():
            raise InputError(f"{place}: no such copick config or project folder")
        return place
    names = [name for name in place.files() if name.endswith(".json")]
    if CONFIG_NAME in names:
        return place / CONFIG_NAME
    found = [place / name for name in names if is_config(place / name)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(f.name for f in found)
        raise InputError(f"{place}: more than one copick config ({listed}); name one of them")
    if is_bare_project(place):
        return place / CONFIG_NAME
    raise InputError(f"{place}: no copick config in this folder (a JSON with `pickable_objects`)")


def is_config(place: Location) -> bool:
    """Whether a JSON file looks like a copick config."""
    try:
        content = place.read_json()
    except InputError:
        return False
    return isinstance(content, dict) and "pickable_objects" in content


def read_config(place: Location) -> dict[str, Any]:
    """Content of a copick config of the filesystem kind, or that of :func:`bare_config`.

    Raises
    ------
    InputError
        If it isn't one.
    """
    folder = Location(place.fs, place.path.rpartition("/")[0])
    if place.name == CONFIG_NAME and not place.exists() and is_bare_project(folder):
        _say_once(f"{folder}: no copick config; taking the CZII challenge's objects")
        return bare_config()
    config = place.read_json()
    if not isinstance(config, dict) or "pickable_objects" not in config:
        raise InputError(f"{place}: no copick config; expected an object with `pickable_objects`")
    kind = config.get("config_type", "filesystem")
    if kind != "filesystem":
        raise InputError(
            f"{place}: field `config_type` is {kind!r}; only 'filesystem' projects are read: "
            "download the runs with the copick client first"
        )
    return config


def parse_objects(config: Mapping[str, Any], where: str) -> tuple[ParticleTypes, frozenset[str]]:
    """Particle types of a config, and the names of its objects that are no particles.

    Parameters
    ----------
    config
        With `pickable_objects`; of each, `name`, `is_particle`, `label`, `radius` (Å), `color` and
        `metadata.score_weight` (1 where absent) are read.
    where
        Named in error messages.

    Returns
    -------
    types
        In the order of their labels.
    others
        Membranes and other objects that are segmented, not picked.

    Raises
    ------
    InputError
        If an object can't be used; every problem is listed.
    """
    objects = config.get("pickable_objects")
    if not isinstance(objects, list):
        raise InputError(f"{where}: field `pickable_objects` must be a list")
    types, others, problems = [], set(), []
    for number, item in enumerate(objects):
        try:
            if not isinstance(item, dict):
                raise ValueError("expected an object with name, label and radius")
            if item.get("is_particle", True):
                types.append(_particle_type(item))
            else:
                others.add(str(item.get("name")))
        except ValueError as error:
            name = item.get("name") if isinstance(item, dict) else None
            problems.append(f"object {name or number}: {error}")
    raise_all(problems, InputError, f"{where}: pickable_objects")
    if not types:
        raise InputError(f"{where}: no pickable object with `is_particle` true")
    try:
        return ParticleTypes(tuple(sorted(types, key=lambda t: t.label))), frozenset(others)
    except ValueError as error:
        raise InputError(f"{where}: pickable_objects: {error}") from error


def _particle_type(item: Mapping[str, Any]) -> ParticleType:
    name, label = item.get("name"), item.get("label")
    if not isinstance(name, str):
        raise ValueError(f"field `name` must be text, but is {name!r}")
    if not isinstance(label, int) or isinstance(label, bool):
        raise ValueError(f"field `label` must be a whole number, but is {label!r}")
    if item.get("radius") is None:
        raise ValueError("no field `radius`; give it in Å, picks are scored with it")
    metadata = item.get("metadata") or {}
    weight = metadata.get("score_weight", 1.0) if isinstance(metadata, dict) else 1.0
    return ParticleType(
        name,
        label,
        _number(item["radius"], "radius"),
        _number(weight, "metadata.score_weight"),
        _color(item.get("color")),
    )


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise ValueError(f"field `{field}` must be a number, but is {value!r}")
    return float(value)


def _color(value: object) -> tuple[int, int, int, int]:
    """RGBA; an opaque orange where there is none, as alpha is added where there are only three."""
    if value is None:
        return (255, 180, 0, 255)
    values: list[Any] = value if isinstance(value, list) and len(value) in (3, 4) else [None]
    if all(isinstance(v, int | float) and 0 <= v <= 255 for v in values):
        r, g, b, a = [*(int(v) for v in values), 255][:4]
        return (r, g, b, a)
    raise ValueError(f"field `color` must be 3 or 4 numbers from 0 to 255, but is {value!r}")


def resolve_root(config: Mapping[str, Any], field: str, config_place: Location) -> Location | None:
    """Root folder that a config names, or None where it names none.

    A relative path is one beside the config. A local folder that isn't there is looked for under
    its own name beside the config, because projects get moved; that is logged.

    Raises
    ------
    InputError
        If the field is no URL that can be opened.
    """
    url = config.get(field)
    if url is None:
        return None
    if not isinstance(url, str) or not url:
        raise InputError(f"{config_place}: field `{field}` must be a path or URL, but is {url!r}")
    options_field = field.replace("_root", "_fs_args")
    options = config.get(options_field) or {}
    if not isinstance(options, dict):
        raise InputError(f"{config_place}: field `{options_field}` must be an object")
    beside = Location(config_place.fs, config_place.path.rpartition("/")[0])
    scheme, _, path = url.rpartition("://")
    if scheme not in ("", "local", "file"):
        return Location.of(url, options)
    if not path.startswith("/"):
        return beside / path.removeprefix("./").rstrip("/")
    root = Location.of(path.rstrip("/") or "/")
    moved = beside / root.name
    if not root.exists() and moved.is_folder():
        log.info("%s: %s is not there; using %s beside the config", config_place, root, moved)
        return moved
    return root


def distinct_roots(config: Mapping[str, Any], place: Location) -> tuple[Location, ...]:
    """Roots of a project, overlay first; one where both are the same.

    Raises
    ------
    InputError
        If none is given, or none of them is there.
    """
    roots: dict[str, Location] = {}
    for field in ("overlay_root", "static_root"):
        root = resolve_root(config, field, place)
        if root is not None:
            roots.setdefault(str(root.local.resolve() if root.local else root), root)
    if not roots:
        raise InputError(f"{place}: neither `overlay_root` nor `static_root` is given")
    if not any(root.is_folder() for root in roots.values()):
        listed = ", ".join(map(str, roots.values()))
        raise InputError(f"{place}: the folders of the project are not there: {listed}")
    return tuple(roots.values())


def new_config(folder: Path, name: str, types: ParticleTypes, user_id: str) -> dict[str, Any]:
    """Config of a project whose roots are the folders ``overlay`` and ``static`` in `folder`."""
    config: dict[str, Any] = {
        "name": name,
        "description": "Made by cryo-pick",
        "version": "1.0.0",
        "config_type": "filesystem",
        "pickable_objects": objects_json(types),
        "user_id": user_id,
    }
    for kind in ("overlay", "static"):
        config[f"{kind}_root"] = f"local://{folder.as_posix()}/{kind}"
        config[f"{kind}_fs_args"] = {"auto_mkdir": True}
    return config


def objects_json(types: ParticleTypes) -> list[dict[str, Any]]:
    """`pickable_objects` of a config."""
    return [
        {
            "name": t.name,
            "is_particle": True,
            "label": t.label,
            "radius": t.radius,
            "color": list(t.color),
            "metadata": {"score_weight": t.weight},
        }
        for t in types
    ]


def with_thresholds(
    config: Mapping[str, Any], thresholds: Mapping[str, float | None]
) -> dict[str, Any]:
    """A config whose objects say their score threshold in their metadata; all else stays.

    Parameters
    ----------
    thresholds
        By object; None: nothing of it is kept.
    """
    objects = []
    for item in config["pickable_objects"]:
        name = str(item.get("name")) if isinstance(item, dict) else ""
        if name in thresholds:
            metadata = {**(item.get("metadata") or {}), THRESHOLD_KEY: thresholds[name]}
            item = {**item, "metadata": metadata}
        objects.append(item)
    return {**config, "pickable_objects": objects}

"""The description of a network, the YAML beside its weights: all that it takes to build it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryo_pick.errors import InputError
from cryo_pick.formats.yaml_file import read_yaml

MOST = 4096
"""Largest number in the settings of a network that is read: a width, a depth."""
MOST_LAYERS = 4096
"""Most layers of a network whose ranges are read."""
MOST_SETTINGS = 64
"""Most values of one list or one set of settings, and letters of a text."""


@dataclass(frozen=True)
class NetworkSpec:
    """All that is needed to build a network and to know what it was made for.

    Attributes
    ----------
    package, network, params
        The part, such as ``detector.networks`` and ``unet_half``, and its settings.
    classes
        Particle types, in channel order.
    voxel_spacing
        Å, mean over axes, of the data it was trained on.
    trained_on
        Runs it has seen; it must not be judged on them.
    patch
        Edge of a patch in voxels; 0 for a detector.
    extra
        What else is worth knowing.
    int8_ranges
        Lowest and highest input of the layers that can run in int8, by name
        (:mod:`detector.int8`); empty where they were not measured.
    """

    package: str
    network: str
    params: dict[str, Any]
    classes: tuple[str, ...]
    voxel_spacing: float
    trained_on: tuple[str, ...] = ()
    patch: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    int8_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


def read_spec(path: Path) -> NetworkSpec:
    """Read PATH.yaml.

    Raises
    ------
    InputError
        If it is missing or broken.
    """
    path = path.with_suffix(".yaml")
    values = {"int8_ranges": {}} | read_yaml(path)  # networks of before have none
    problems = [
        f"{name} should be {expected}, but is {shortened(repr(values.get(name)), 60)}"
        for name, (test, expected) in _FIELDS.items()
        if not test(values.get(name))
    ]
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    fields: dict[str, Any] = {name: values[name] for name in _FIELDS}
    fields |= {name: tuple(fields[name]) for name in ("classes", "trained_on")}
    fields["int8_ranges"] = {name: tuple(pair) for name, pair in fields["int8_ranges"].items()}
    return NetworkSpec(**fields)


def shortened(error: object, most: int = 300) -> str:
    """A message on one line; a network that differs can have hundreds."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]} …"


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < 1e6


def _is_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_name, value))


def _are_ranges(value: Any) -> bool:
    return (
        _is_settings(value)
        and len(value) <= MOST_LAYERS
        and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(v, int | float) for v in pair)
            and -_LARGEST <= pair[0] <= 0 <= pair[1] <= _LARGEST
            for pair in value.values()
        )
    )


def _is_sane(value: Any) -> bool:
    """Whether settings of a network have a size that one can have."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return len(value) <= MOST_SETTINGS and all(map(_is_sane, items))
    if isinstance(value, int | float):
        return abs(value) <= MOST
    return value is None or (isinstance(value, str) and len(value) <= MOST_SETTINGS)


_LARGEST = 1e6
"""Of what goes into a layer; there is no network whose activations are larger."""
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "package": (_is_name, "a name"),
    "network": (_is_name, "a name"),
    "params": (
        lambda v: _is_settings(v) and _is_sane(v),
        f"settings by name, with numbers of {MOST} at most",
    ),
    "classes": (lambda v: _is_names(v) and len(v) > 0, "a list of at least one name"),
    "voxel_spacing": (_is_number, "a number above 0"),
    "trained_on": (_is_names, "a list of names"),
    "patch": (lambda v: isinstance(v, int) and 0 <= v <= MOST, f"a whole number from 0 to {MOST}"),
    "extra": (_is_settings, "values by name"),
    "int8_ranges": (
        _are_ranges,
        f"two numbers for each of {MOST_LAYERS} layers at most, one up to 0 and one from 0",
    ),
}
"""What each field of a description has to be."""

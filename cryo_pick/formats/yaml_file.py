"""YAML files from anywhere: plain values only, and no more of them than a description has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

from cryo_pick.errors import InputError

MAX_BYTES = 2**20
MAX_VALUES = 10_000
"""Values of a file, those that a reference repeats counted each time."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Keys and values of a YAML file.

    Tags that build Python objects are refused, as are references that repeat each other until no
    memory holds them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it can't be read, isn't YAML, or isn't plain keys and values.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected a YAML file, but this is no regular file")
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise InputError(f"{path}: {len(content)} bytes; a description has {MAX_BYTES} at most")
        values = yaml.safe_load(content.decode("utf-8"))
        _check_count(values)
    except FileNotFoundError:
        raise
    except (yaml.YAMLError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML: {text[:300]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, but got {type(values).__name__}")
    return values


def _check_count(value: Any) -> None:
    """ValueError if there are too many values, or one that is not plain."""
    left = MAX_VALUES
    stack = [value]
    while stack:
        item = stack.pop()
        left -= 1
        if left < 0:
            raise ValueError(f"more than {MAX_VALUES} values")
        if isinstance(item, dict):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            stack += item
        elif not (item is None or isinstance(item, str | int | float)):
            raise ValueError(f"expected plain values, but got a {type(item).__name__}")

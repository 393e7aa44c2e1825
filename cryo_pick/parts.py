"""Parts chosen by name in a config: a network, a loss. Each is one module with a `build` function.

The name is looked up among the modules of one package of ours and nowhere else, so a config or a
bundle from a stranger can't name code of its own.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError

# What a constructor raises over values it can't take; an out-of-memory error is a RuntimeError.
_CANT_BUILD = (
    TypeError, ValueError, RuntimeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, MemoryError,
)  # fmt: skip


def part_names(package: str) -> list[str]:
    """Names of the parts of a package, such as ``detector.networks``."""
    paths = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(paths) if not m.name.startswith("_"))


def find_part(package: str, name: str, key: str) -> ModuleType:
    """The module of a part.

    Raises
    ------
    ConfigError
        If there is no such part; the message names the setting `key` and the closest parts.
    """
    names = part_names(package)
    if name not in names:
        raise ConfigError(f"{key}: no part {name!r} in {package}; {closest_hint(name, names)}")
    return importlib.import_module(f"{package}.{name}")


def build_part(package: str, name: str, params: Mapping[str, Any], key: str, **given: Any) -> Any:
    """Call ``build(**given, **params)`` of a part.

    Raises
    ------
    ConfigError
        If the part is unknown, or `params` has a key or a value that its `build` can't take.
    """
    build = find_part(package, name, f"{key}").build
    known = [p for p in inspect.signature(build).parameters if p not in given]
    for param in params:
        if param not in known:
            raise ConfigError(
                f"{key}.params.{param}: {name} has no such setting; {closest_hint(param, known)}"
            )
    try:
        return build(**given, **params)
    except _CANT_BUILD as error:
        raise ConfigError(f"{key}.params: {name} can't be built: {error}") from error

"""key=value settings of the command line: short forms, paths, spelling, sweeps.

What people type is turned into plain Hydra overrides, or refused with the closest names, before
Hydra sees it.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError, raise_all

ALIASES = {
    "fold": ("train.fold",),
    "folds": ("train.folds",),
    "seed": ("train.optimizer.seed", "refiner.optimizer.seed"),
    "devices": ("train.optimizer.devices", "refiner.optimizer.devices"),
    "nodes": ("train.optimizer.nodes", "refiner.optimizer.nodes"),
    "logger": ("train.optimizer.logger", "refiner.optimizer.logger"),
    "start_from": ("train.start_from", "refiner.start_from"),
}
"""Short keys, and what they set."""

PATH_OF_GROUP = {"data": "data.project", "model": "model.path", "candidates": "candidates.path"}
"""Where the value goes if it is a path instead of an option of the group."""

PATH_KEYS = (
    *PATH_OF_GROUP.values(), "data.cache", "out", "start_from", "train.start_from",
    "refiner.start_from",
)  # fmt: skip
"""Keys whose values are paths, in which commas, spaces and equals signs mean nothing."""

QUOTES = ("'", '"')

_OVERRIDE = re.compile(r"(?:\+{0,2}|~)([A-Za-z_]\w*(?:\.\w+)*)=(.*)", re.DOTALL)


def is_override(word: str) -> bool:
    """Whether a word of the command line is a key=value setting."""
    return _OVERRIDE.fullmatch(word) is not None


def path_exists(text: str) -> bool:
    """Whether there is a file or folder of that name; one that no file can have is not there."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long, or a zero byte
        return False


def group_options() -> dict[str, list[str]]:
    """Every config group with the names of its options."""
    groups = {}
    for folder in sorted(resources.files("configs").iterdir(), key=lambda f: f.name):
        if folder.is_dir():
            names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".yaml"))
            if names:
                groups[folder.name] = [name.removesuffix(".yaml") for name in names]
    return groups


def quote(value: str) -> str:
    """A string as Hydra's grammar wants it, whatever characters it holds."""
    escaped = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return f"'{escaped}'"


def override_of(key: str, value: object) -> str:
    """The setting that gives `key` a Python value: a string, number, bool, path or list of them."""
    if isinstance(value, bool):
        return f"{key}={str(value).lower()}"
    if isinstance(value, str | Path):
        return f"{key}={quote(str(value))}"
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(override_of('', item)[1:] for item in value)}]"
    return f"{key}={value}"


def resolve_overrides(words: Iterable[str], keys: Mapping[str, bool]) -> list[str]:
    """Turn key=value words into overrides that Hydra takes as they are.

    Parameters
    ----------
    words
        As typed, without sweeps.
    keys
        Every key of the schema; True where its value is a free-form dictionary.

    Raises
    ------
    ConfigError
        That lists every unknown key, unknown option and missing path.
    """
    groups = group_options()
    resolved: list[str] = []
    problems: list[str] = []
    for word in words:
        match = _OVERRIDE.fullmatch(word)
        if match is None or word.startswith("~"):
            problems.append(f"{word!r} is not of the form key=value")
            continue
        try:
            settings = _resolve(match[1], match[2], groups, keys)
            if any(len(_values(setting)) > 1 for setting in settings):
                problems.append(f"{word} lists several values; add -m to sweep over them")
            resolved += settings
        except ValueError as error:
            problems.append(str(error))
    raise_all(problems, ConfigError, "settings")
    return resolved


def _resolve(
    key: str, value: str, groups: Mapping[str, Sequence[str]], keys: Mapping[str, bool]
) -> list[str]:
    """One setting as Hydra overrides; ValueError if key or option is unknown."""
    if key in PATH_KEYS and value != "null" and value[:1] not in QUOTES:
        value = quote(value)
    if key in ALIASES:
        return [f"{full}={value}" for full in ALIASES[key]]
    if key in groups:
        return [_choose(key, value, groups[key])]
    if key in PATH_KEYS:
        return [f"{key}={value}"]
    if key in keys:
        return [f"{key}={value}"]
    if any(free and key.startswith(parent + ".") for parent, free in keys.items()):
        return [f"++{key}={value}"]
    raise ValueError(f"no key {key!r}; {closest_hint(key, [*keys, *groups, *ALIASES])}")


def _choose(group: str, value: str, options: Sequence[str]) -> str:
    """``group=option``, or the path setting of the group if the value is a path."""
    path = value[1:-1] if value[:1] in QUOTES else value
    if path in options or (group == "experiment" and path == "null"):
        return f"{group}={path}"
    hint = closest_hint(value, options)
    if group not in PATH_OF_GROUP:
        raise ValueError(f"no option {value!r} of {group}; {hint}")
    if not path or not (os.sep in path or "/" in path or path_exists(path)):
        raise ValueError(f"{group}={value} is neither an option of {group} ({hint}) nor a path")
    return f"{PATH_OF_GROUP[group]}={quote(path)}"


def expand_sweep(words: Sequence[str]) -> list[list[str]]:
    """Every combination of the settings that list several values: ``a=1,2 b=3`` gives two.

    The values may also be ``range(...)`` or ``choice(...)``, as in Hydra.

    Raises
    ------
    ConfigError
        If Hydra can't read a value.
    """
    try:
        values = [_values(word) for word in words]
    except ValueError as error:
        raise ConfigError(f"settings: {error}") from error
    return [list(job) for job in itertools.product(*values)]


def _values(word: str) -> list[str]:
    """One setting for each value that a word lists; ValueError if Hydra can't read it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(word)
    except (HydraException, RecursionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{word}: can't be read ({reason}); does it want quotes?") from error
    if not parsed.is_sweep_override():
        return [word]
    return [f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()]

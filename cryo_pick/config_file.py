"""A config that was written to a file, with settings on top of it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, cast

from cryo_pick.errors import ConfigError
from cryo_pick.overrides import group_options


def read_config_file(path: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Plain values of a config.yaml, changed by settings.

    Parameters
    ----------
    path
        What `--cfg` prints, or a folder's config.yaml.
    overrides
        As :func:`cryo_pick.overrides.resolve_overrides` gives them. A group's option replaces the
        whole group, an experiment's settings are laid over the others, single settings come last.

    Raises
    ------
    ConfigError
        If the file can't be read.
    """
    import yaml
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"--config {path}: expected keys and values, but got {type(values).__name__}"
        )
    groups, single = group_options(), []
    for parsed in OverridesParser.create().parse_overrides(list(overrides)):
        key, value = parsed.key_or_group, parsed.value()
        if key not in groups:
            single.append((key, value))
        elif value is not None:
            option = _read_option(key, str(value))
            values = _laid_over(values, option) if key == "experiment" else {**values, key: option}
    node = OmegaConf.create(values)
    for key, value in single:
        OmegaConf.update(node, key, value, merge=True, force_add=True)
    return cast(dict[str, Any], OmegaConf.to_container(node, resolve=True))


def _read_option(group: str, option: str) -> dict[str, Any]:
    import yaml

    text = resources.files("configs").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
    return {k: v for k, v in yaml.safe_load(text).items() if k != "defaults"}


def _laid_over(values: Any, changes: Any) -> Any:
    """Nested values with those of `changes` in their place."""
    if not (isinstance(values, dict) and isinstance(changes, dict)):
        return changes
    return values | {k: _laid_over(values.get(k), v) for k, v in changes.items()}

"""The one config of every command: composed by Hydra, checked against dataclasses.

Everything below the commands takes these dataclasses, or plain arguments, and knows no Hydra.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryo_pick.closest import closest_hint
from cryo_pick.config_checks import range_problems
from cryo_pick.config_file import read_config_file
from cryo_pick.errors import ConfigError, raise_all
from cryo_pick.overrides import resolve_overrides
from cryo_pick.settings import (
    AugmentSettings,
    ClusterSettings,
    DataSettings,
    FitSettings,
    PretrainSettings,
    TuneSettings,
)
from detector.settings import (
    CandidatesSettings,
    DetectorTrainSettings,
    InferSettings,
    LossSettings,
    ModelSettings,
    TargetSettings,
)
from refiner.settings import RefinerSettings


@dataclass
class Config:
    """Every setting of every stage. Each field that is a class is a config group of its name."""

    data: DataSettings = field(default_factory=DataSettings)
    objects: str = "project"
    """Whose radii and weights: project (as the copick project says) or czii (the challenge's)."""
    model: ModelSettings = field(default_factory=ModelSettings)
    target: TargetSettings = field(default_factory=TargetSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    train: DetectorTrainSettings = field(default_factory=DetectorTrainSettings)
    candidates: CandidatesSettings = field(default_factory=CandidatesSettings)
    infer: InferSettings = field(default_factory=InferSettings)
    refiner: RefinerSettings = field(default_factory=RefinerSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    out: str | None = None
    """Output folder."""


def compose(overrides: Iterable[str] = (), file: Path | None = None) -> Config:
    """Compose configs/config.yaml, or a config file, with key=value settings; check every value.

    Parameters
    ----------
    overrides
        As typed on the command line: ``train.optimizer.steps=10``, ``candidates=components``,
        ``data=PATH``, ``fold=0``, ``seed=1``, ``experiment=cpu``.
    file
        A whole config to begin with; None: the defaults.

    Raises
    ------
    ConfigError
        That lists every misspelt key, unknown option, wrong type and impossible value.
    """
    resolved = resolve_overrides(overrides, schema_keys())
    if file is not None:
        return from_mapping(read_config_file(file, resolved))
    return from_mapping(_hydra_compose(resolved))


def from_mapping(values: Mapping[str, Any]) -> Config:
    """The config that nested plain values describe; a key that is missing keeps its default.

    Raises
    ------
    ConfigError
        That lists every unknown key, wrong type and impossible value.
    """
    from omegaconf import OmegaConf

    node = OmegaConf.structured(Config)
    problems = _merge(node, values, Config, "")
    raise_all(problems, ConfigError, "config")
    config = typing.cast(Config, OmegaConf.to_object(node))
    raise_all(range_problems(config), ConfigError, "config")
    return config


def to_yaml(config: Any) -> str:
    """A settings dataclass as YAML, which :func:`from_mapping` reads back."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))


def schema_keys(schema: type = Config, prefix: str = "") -> dict[str, bool]:
    """Every dotted key of a settings class; True where the value is a free-form dictionary."""
    keys: dict[str, bool] = {}
    for name, hint in typing.get_type_hints(schema).items():
        keys[prefix + name] = typing.get_origin(hint) is dict
        if dataclasses.is_dataclass(hint):
            keys |= schema_keys(typing.cast(type, hint), f"{prefix}{name}.")
    return keys


def _hydra_compose(overrides: list[str]) -> dict[str, Any]:
    """Plain values of configs/config.yaml with overrides that Hydra understands."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_module("configs", version_base="1.3"):
            composed = hydra_compose("config", overrides=overrides)
        values = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"settings: {_one_line(error)}") from error
    return typing.cast(dict[str, Any], values)


def _one_line(error: BaseException) -> str:
    """What Hydra says, and why, without line breaks and its advice for programmers."""
    texts = [str(e).strip() for e in (error, error.__cause__) if e is not None]
    lines = [text.splitlines()[0] for text in texts if text]
    return ": ".join(re.sub(r"\.? *(To append|See) .*|\.$", "", line) for line in lines)


def _merge(node: Any, values: Mapping[str, Any], schema: type, prefix: str) -> list[str]:
    """Set the fields of a structured config one by one; what could not be set."""
    from omegaconf.errors import OmegaConfBaseException

    problems: list[str] = []
    hints = typing.get_type_hints(schema)
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in hints:
            known = schema_keys(schema, prefix)
            problems.append(f"no key {name!r}; {closest_hint(name, known)}")
        elif dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping):
            problems += _merge(node[key], value, typing.cast(type, hints[key]), name + ".")
        else:
            try:
                node[key] = value
            except OmegaConfBaseException:
                problems.append(f"{name}: expected {_type_text(hints[key])}, but got {value!r}")
    return problems


def _type_text(hint: Any) -> str:
    """A type in words."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if isinstance(hint, types.UnionType):
        return " or ".join(_type_text(part) for part in typing.get_args(hint))
    if hint is type(None):
        return "null"
    if typing.get_origin(hint) is list:
        (item,) = typing.get_args(hint)
        plural = {int: "whole numbers", float: "numbers", str: "texts"}[item]
        return f"a list of {plural}, [a,b,c]"
    return words.get(hint, "settings of its own, key: value")

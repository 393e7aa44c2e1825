"""Weights on disk: a safetensors file and, beside it, a YAML that says how to build the network.

No pickle is ever loaded, and the network's name is looked up among our own parts only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import atomic_path, write_text_atomic
from cryo_pick.parts import build_part


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
    """

    package: str
    network: str
    params: dict[str, Any]
    classes: tuple[str, ...]
    voxel_spacing: float
    trained_on: tuple[str, ...] = ()
    patch: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def save_network(path: Path, module: nn.Module, spec: NetworkSpec) -> None:
    """Write PATH.yaml and PATH.safetensors, each whole or not at all.

    The weights come last: where they are, their description is.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    plain = asdict(spec) | {"classes": list(spec.classes), "trained_on": list(spec.trained_on)}
    described = yaml.safe_dump(plain, sort_keys=False)
    write_text_atomic(path.with_suffix(".yaml"), described)
    with atomic_path(path.with_suffix(".safetensors")) as part:
        save_file(tensors, part)


def load_network(path: Path, package: str) -> tuple[nn.Module, NetworkSpec]:
    """Read PATH.yaml and PATH.safetensors; the module is in evaluation mode.

    Raises
    ------
    InputError
        If a file is missing or broken, names another package or a network or setting that isn't
        ours, or the weights don't fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    described, weights = path.with_suffix(".yaml"), path.with_suffix(".safetensors")
    missing = [p for p in (described, weights) if not p.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]}: no such file; a network is a .safetensors and a .yaml side by side"
        )
    spec = _read_spec(described)
    if spec.package != package:
        raise InputError(f"{described}: expected package {package}, but got {spec.package!r}")
    try:
        module: nn.Module = build_part(
            package, spec.network, spec.params, str(described), n_classes=len(spec.classes)
        )
    except ConfigError as error:  # the file is at fault and not the command line
        raise InputError(str(error)) from error
    try:
        state: dict[str, Tensor] = load_file(weights)
        module.load_state_dict(state)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise InputError(
            f"{weights}: not the weights of the network that {described.name} describes: "
            f"{_shortened(error)}"
        ) from error
    return module.eval(), spec


def _read_spec(path: Path) -> NetworkSpec:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as YAML: {_shortened(error)}") from error
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected keys and values, but got {type(values).__name__}")
    problems = [
        f"{name} should be {expected}"
        for name, (test, expected) in _FIELDS.items()
        if not test(values.get(name))
    ]
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    fields: dict[str, Any] = {name: values[name] for name in _FIELDS}
    fields |= {name: tuple(fields[name]) for name in ("classes", "trained_on")}
    return NetworkSpec(**fields)


def _shortened(error: Exception, most: int = 300) -> str:
    """A message on one line; a network that differs can have hundreds."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]} …"


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _is_settings(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_name, value))


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "package": (_is_name, "a name"),
    "network": (_is_name, "a name"),
    "params": (_is_settings, "settings by name"),
    "classes": (lambda v: _is_names(v) and len(v) > 0, "a list of at least one name"),
    "voxel_spacing": (_is_number, "a number above 0"),
    "trained_on": (_is_names, "a list of names"),
    "patch": (lambda v: isinstance(v, int) and v >= 0, "a whole number, 0 or more"),
    "extra": (_is_settings, "values by name"),
}
"""What each field of a description has to be."""

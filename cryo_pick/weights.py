"""Weights on disk: a safetensors file and, beside it, a YAML that says how to build the network.

No pickle is ever loaded, and the network's name is looked up among our own parts only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import atomic_path, write_text_atomic
from cryo_pick.formats.yaml_file import read_yaml
from cryo_pick.parts import build_part

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


def save_network(path: Path, module: nn.Module, spec: NetworkSpec) -> None:
    """Write PATH.yaml and PATH.safetensors, each whole or not at all.

    The weights come last: where they are, their description is.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    plain = asdict(spec) | {
        "classes": list(spec.classes),
        "trained_on": list(spec.trained_on),
        "int8_ranges": {name: list(pair) for name, pair in spec.int8_ranges.items()},
    }
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
    spec = read_spec(path)
    if spec.package != package:
        raise InputError(f"{described}: expected package {package}, but got {spec.package!r}")
    try:
        state: dict[str, Tensor] = load_file(weights)
        _check_count(state, spec, described)
        module = _build(spec, described)
        module.load_state_dict(state)
        _check_ranges(module, spec)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise InputError(
            f"{weights}: not the weights of the network that {described.name} describes: "
            f"{_shortened(error)}"
        ) from error
    return module.eval(), spec


def _build(spec: NetworkSpec, described: Path) -> nn.Module:
    try:
        module: nn.Module = build_part(
            spec.package, spec.network, spec.params, str(described), n_classes=len(spec.classes)
        )
    except ConfigError as error:  # the file is at fault and not the command line
        raise InputError(str(error)) from error
    return module


def _check_ranges(module: nn.Module, spec: NetworkSpec) -> None:
    """Refuse ranges of what is no layer of a network that multiplies its inputs."""
    layers = {
        name
        for name, layer in module.named_modules()
        if isinstance(getattr(layer, "weight", None), Tensor) and layer.weight.ndim > 1
    }
    if unknown := sorted(set(spec.int8_ranges) - layers):
        raise RuntimeError(f"int8_ranges of {_shortened(unknown[0], 60)}, no layer of it")


def _check_count(state: Mapping[str, Tensor], spec: NetworkSpec, described: Path) -> None:
    """Refuse a description of a network that is not of the weights' size, before it is built.

    A few bytes of YAML can describe a network that no memory holds. On torch's meta device it has
    shapes and no memory; a network that can't be built there is told by building it.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            # Of a layer without channels torch warns only; it is refused below.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")
            probe = _build(spec, described)
    except InputError as error:
        if "meta" in str(error).lower():
            return
        raise
    if empty := [name for name, v in probe.named_parameters() if not v.numel()]:
        raise RuntimeError(f"a layer without channels: {empty[0]}")
    needed = sum(v.numel() for v in probe.state_dict().values())
    found = sum(v.numel() for v in state.values())
    if needed != found:
        raise RuntimeError(f"size mismatch: it takes {needed} numbers, the file holds {found}")


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
        f"{name} should be {expected}, but is {_shortened(repr(values.get(name)), 60)}"
        for name, (test, expected) in _FIELDS.items()
        if not test(values.get(name))
    ]
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    fields: dict[str, Any] = {name: values[name] for name in _FIELDS}
    fields |= {name: tuple(fields[name]) for name in ("classes", "trained_on")}
    fields["int8_ranges"] = {name: tuple(pair) for name, pair in fields["int8_ranges"].items()}
    return NetworkSpec(**fields)


def _shortened(error: object, most: int = 300) -> str:
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

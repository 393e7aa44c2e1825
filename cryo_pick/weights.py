"""Weights on disk: a safetensors file and, beside it, a YAML that says how to build the network.

No pickle is ever loaded, and the network's name is looked up among our own parts only.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import yaml  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import atomic_path, write_text_atomic
from cryo_pick.network_spec import NetworkSpec, read_spec, shortened
from cryo_pick.parts import build_part


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
            f"{shortened(error)}"
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
        raise RuntimeError(f"int8_ranges of {shortened(unknown[0], 60)}, no layer of it")


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

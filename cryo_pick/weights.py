"""Weights on disk: a safetensors file and, beside it, a YAML that says how to build the network.

No pickle is ever loaded, and the network's name is looked up among our own parts only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from cryo_pick.errors import InputError
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
    """Write PATH.safetensors and PATH.yaml, each whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    with atomic_path(path.with_suffix(".safetensors")) as part:
        save_file(tensors, part)
    plain = asdict(spec) | {"classes": list(spec.classes), "trained_on": list(spec.trained_on)}
    write_text_atomic(path.with_suffix(".yaml"), yaml.safe_dump(plain, sort_keys=False))


def load_network(path: Path, package: str) -> tuple[nn.Module, NetworkSpec]:
    """Read PATH.yaml and PATH.safetensors; the module is in evaluation mode.

    Raises
    ------
    InputError
        If a file is missing, broken, of another package, or the weights don't fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    described, weights = path.with_suffix(".yaml"), path.with_suffix(".safetensors")
    missing = [p for p in (described, weights) if not p.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]}: no such file; a network is a .safetensors and a .yaml side by side"
        )
    try:
        spec = _spec(yaml.safe_load(described.read_text(encoding="utf-8")), described)
        if spec.package != package:
            raise InputError(f"{described}: expected package {package}, but got {spec.package!r}")
        module: nn.Module = build_part(
            package, spec.network, spec.params, str(described), n_classes=len(spec.classes)
        )
        state: dict[str, Tensor] = load_file(weights)
        module.load_state_dict(state)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{described}: not readable as YAML: {error}") from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise InputError(
            f"{weights}: the weights don't fit the network that {described.name} describes: {error}"
        ) from error
    return module.eval(), spec


def _spec(values: Any, path: Path) -> NetworkSpec:
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected keys and values, but got {type(values).__name__}")
    wanted = {f: values.get(f) for f in NetworkSpec.__dataclass_fields__}
    problems = [
        f"{name} should be {kind.__name__}"
        for name, kind in (
            ("package", str),
            ("network", str),
            ("params", dict),
            ("classes", list),
            ("trained_on", list),
            ("patch", int),
            ("extra", dict),
        )
        if not isinstance(wanted[name], kind)
    ]
    if not isinstance(wanted["voxel_spacing"], int | float):
        problems.append("voxel_spacing should be a number")
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")
    wanted["classes"] = tuple(str(c) for c in wanted["classes"])
    wanted["trained_on"] = tuple(str(r) for r in wanted["trained_on"])
    return NetworkSpec(**wanted)

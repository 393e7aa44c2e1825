"""The mean of the weights of several trainings or checkpoints of one network: one network again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cryo_pick.errors import InputError, raise_all
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.weights import load_network, save_network


def average_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of every floating-point tensor; of others, such as counters, the first.

    Parameters
    ----------
    states
        Of one network, at least one.

    Raises
    ------
    ValueError
        If there is none, or they don't have the same tensors.
    """
    if not states:
        raise ValueError("Expected at least one state, but got none.")
    shapes = [{k: v.shape for k, v in state.items()} for state in states]
    if any(s != shapes[0] for s in shapes):
        raise ValueError("Expected the weights of one network, but their tensors differ.")
    return {
        name: torch.stack([s[name].double() for s in states]).mean(0).to(first.dtype)
        if first.is_floating_point()
        else first.clone()
        for name, first in states[0].items()
    }


def average_networks(paths: Sequence[Path], package: str, out: Path) -> NetworkSpec:
    """Read networks, average their weights and write the result.

    Parameters
    ----------
    paths, out
        Without ending; each is a .safetensors and a .yaml.
    package
        Of the networks, such as ``detector.networks``.

    Returns
    -------
    NetworkSpec
        Of the result; it has seen every run that one of them has seen.

    Raises
    ------
    InputError
        If a file can't be read, or the networks are not alike.
    """
    loaded = [load_network(path, package) for path in paths]
    module, first = loaded[0]
    what = ("network", "params", "classes", "voxel_spacing")
    raise_all(
        [
            f"{path}: its {name} is {getattr(spec, name)}, "
            f"that of {paths[0]} {getattr(first, name)}"
            for path, (_, spec) in zip(paths, loaded, strict=True)
            for name in what
            if getattr(spec, name) != getattr(first, name)
        ],
        InputError,
        "networks to average",
    )
    module.load_state_dict(average_states([m.state_dict() for m, _ in loaded]))
    seen = tuple(dict.fromkeys(run for _, spec in loaded for run in spec.trained_on))
    averaged = {"averaged": [p.name for p in paths]}
    # What goes into the layers of the mean was not measured.
    spec = replace(first, trained_on=seen, extra=averaged, int8_ranges={})
    save_network(out, module, spec)
    return spec

"""The networks of a bundle, each from files inside the bundle, made for its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryo_pick.errors import InputError
from cryo_pick.pipeline.bundle import FILE, Bundle
from cryo_pick.weights import NetworkSpec, load_network
from detector.mean_network import MeanNetwork
from detector.members import HEATMAP_STRIDE, member_engines
from detector.parts import NETWORKS, output_stride

if TYPE_CHECKING:
    from torch import nn


def load_member(
    folder: Path, bundle: Bundle, member: str, package: str
) -> tuple[nn.Module, NetworkSpec]:
    """One network of the bundle in `folder`.

    Raises
    ------
    InputError
        If its files are missing, broken or lie elsewhere, or it was made for other classes or
        another patch than the bundle says.
    """
    inside = folder.resolve()
    for suffix in (".yaml", ".safetensors"):
        path = (folder / member).with_suffix(suffix)
        if not path.resolve().is_relative_to(inside):
            raise InputError(
                f"{path}: expected a file of the bundle, but it is a link that leads out of it; "
                "copy the file into the bundle"
            )
    module, spec = load_network(folder / member, package)
    if spec.classes != bundle.types.names:
        raise InputError(
            f"{folder / member}.yaml: expected the classes of {FILE}, "
            f"{', '.join(bundle.types.names)}, but got {', '.join(spec.classes)}"
        )
    if member in bundle.refiners and spec.patch != bundle.refiner["patch"]:
        raise InputError(
            f"{folder / member}.yaml: expected patch {bundle.refiner['patch']} as in {FILE}, "
            f"but got {spec.patch}"
        )
    return module, spec


@dataclass(frozen=True)
class LoadedDetector:
    """A network ready to be given to an engine.

    Attributes
    ----------
    module
    output_stride
        Voxels per heatmap cell.
    int8_ranges
        See :class:`cryo_pick.weights.NetworkSpec`.
    """

    module: nn.Module
    output_stride: int
    int8_ranges: dict[str, tuple[float, float]]


def load_detectors(folder: Path, bundle: Bundle) -> list[LoadedDetector]:
    """The detectors of the bundle in `folder`.

    The folds of one training, whose plain mean counts, come as one network.

    Raises
    ------
    InputError
        As :func:`load_member`.
    """
    loaded = [load_member(folder, bundle, member, NETWORKS) for member in bundle.detectors]
    networks = [
        LoadedDetector(module, output_stride(spec.network), spec.int8_ranges)
        for module, spec in loaded
    ]
    strides = {n.output_stride for n in networks}
    if bundle.ensemble or len(networks) < 2 or strides != {HEATMAP_STRIDE}:
        return networks
    mean = MeanNetwork([n.module for n in networks]).eval()
    ranges = {}
    if all(n.int8_ranges for n in networks):
        ranges = mean.by_layer([n.int8_ranges for n in networks])
    return [LoadedDetector(mean, HEATMAP_STRIDE, ranges)]


def ensemble_engines(engines: Sequence[Any], bundle: Bundle) -> list[Any]:
    """The engines of a bundle, as members where it is an ensemble of trained folders.

    Parameters
    ----------
    engines
        One for each of the bundle's detectors.
    bundle

    Raises
    ------
    InputError
        If the bundle says nothing of one of its detectors.
    """
    if not bundle.ensemble:
        return list(engines)
    described = bundle.ensemble["members"]
    missing = [d for d in bundle.detectors if d not in described]
    if missing:
        raise InputError(f"bundle: nothing is said about its member {missing[0]}")
    own = [described[d] for d in bundle.detectors]
    reference = bundle.ensemble["reference"]
    return list(
        member_engines(
            engines,
            [float(m["weight"]) for m in own],
            None if reference is None else [np.array(m["table"], np.float64) for m in own],
            None if reference is None else np.array(reference, np.float64),
        )
    )

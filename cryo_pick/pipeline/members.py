"""The networks of a bundle, each from files inside the bundle, made for its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryo_pick.errors import InputError
from cryo_pick.kept_numbers import kept_numbers
from cryo_pick.network_source import NetworkSource, joined_key, source_key
from cryo_pick.network_spec import NetworkSpec, read_spec
from cryo_pick.pipeline.bundle import FILE, Bundle
from detector.members import HEATMAP_STRIDE, by_layer, member_engines
from detector.parts import NETWORKS, output_stride

if TYPE_CHECKING:
    from torch import nn

REFINERS = "refiner.networks"


@dataclass(frozen=True)
class Member:
    """One network of a bundle, not yet built: where to get it, and its description."""

    source: NetworkSource
    spec: NetworkSpec

    def built_stride(self) -> int:
        """Voxels per heatmap cell of a detector; 1 of a refiner.

        What a network was built from once need not be built again to know that it can be.

        Raises
        ------
        InputError
            If the files don't make a network.
        """

        def build() -> Sequence[float]:
            _ = self.source.module  # which may be refused
            return [output_stride(self.spec.network) if self.spec.package == NETWORKS else 1]

        return int(kept_numbers("networks", self.source.key, [0], build)[0])


def bundle_member(folder: Path, bundle: Bundle, member: str, package: str) -> Member:
    """One network of the bundle in `folder`, by its files.

    Raises
    ------
    InputError
        If they are missing, broken or lie elsewhere, or the network was made for other classes or
        another patch than the bundle says; of weights that don't fit, when it is built.
    """
    path = folder / member
    files = [path.with_suffix(suffix) for suffix in (".yaml", ".safetensors")]
    inside = folder.resolve()
    for file in files:
        if not file.resolve().is_relative_to(inside):
            raise InputError(
                f"{file}: expected a file of the bundle, but it is a link that leads out of it; "
                "copy the file into the bundle"
            )

    def build() -> nn.Module:
        from cryo_pick.weights import load_network

        return load_network(path, package)[0]

    try:
        key = source_key(files)
    except OSError:
        key = ""
        build()  # which says what is wrong
    spec = read_spec(path)
    if spec.classes != bundle.types.names:
        raise InputError(
            f"{path}.yaml: expected the classes of {FILE}, "
            f"{', '.join(bundle.types.names)}, but got {', '.join(spec.classes)}"
        )
    if member in bundle.refiners and spec.patch != bundle.refiner["patch"]:
        raise InputError(
            f"{path}.yaml: expected patch {bundle.refiner['patch']} as in {FILE}, "
            f"but got {spec.patch}"
        )
    return Member(NetworkSource(build, joined_key([package, key]) if key else ""), spec)


def bundle_members(folder: Path, bundle: Bundle) -> tuple[list[Member], list[Member]]:
    """Detectors and refiners of the bundle in `folder`.

    Raises
    ------
    InputError
        As :func:`bundle_member`.
    """
    detectors = [bundle_member(folder, bundle, m, NETWORKS) for m in bundle.detectors]
    return detectors, [bundle_member(folder, bundle, m, REFINERS) for m in bundle.refiners]


@dataclass(frozen=True)
class Detector:
    """A detector that can be given to an engine.

    Attributes
    ----------
    source
    output_stride
        Voxels per heatmap cell.
    int8_ranges
        See :class:`cryo_pick.network_spec.NetworkSpec`.
    """

    source: NetworkSource
    output_stride: int
    int8_ranges: dict[str, tuple[float, float]]


def detectors_to_run(members: Sequence[Member], bundle: Bundle) -> list[Detector]:
    """The detectors of a bundle, as they are run.

    The folds of one training, whose plain mean counts, come as one network.

    Raises
    ------
    InputError
        If a network can't be built.
    """
    detectors = [Detector(m.source, m.built_stride(), m.spec.int8_ranges) for m in members]
    strides = {d.output_stride for d in detectors}
    if bundle.ensemble or len(detectors) < 2 or strides != {HEATMAP_STRIDE}:
        return detectors

    def build() -> nn.Module:
        from detector.mean_network import MeanNetwork

        return MeanNetwork([d.source.module for d in detectors]).eval()

    keys = [d.source.key for d in detectors]
    source = NetworkSource(build, joined_key(["mean", *keys]) if all(keys) else "")
    ranges = [d.int8_ranges for d in detectors]
    return [Detector(source, HEATMAP_STRIDE, by_layer(ranges) if all(ranges) else {})]


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

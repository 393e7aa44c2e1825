"""The networks of a bundle, each from files inside the bundle, made for its classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import InputError
from cryo_pick.pipeline.bundle import FILE, Bundle
from cryo_pick.weights import NetworkSpec, load_network

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

"""A network that is built only where it is needed.

What was kept of it does without, and so without torch, whose import costs a second and half a
gigabyte.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.run_folder import installed_version

if TYPE_CHECKING:
    from torch import nn

_PACKAGES = ("cryo_pick", "detector", "refiner")
_LIBRARIES = ("torch", "monai", "timm", "numpy", "safetensors", "openvino")


@dataclass(frozen=True)
class NetworkSource:
    """A network, or how to get it.

    Attributes
    ----------
    build
        Gives the network, in evaluation mode; may raise what says that it can't be had.
    key
        Hash of all that the network depends on (:func:`source_key`); empty: nothing is kept of it.
    """

    build: Callable[[], nn.Module]
    key: str = ""

    @functools.cached_property
    def module(self) -> nn.Module:
        """The network, built when it is first asked for."""
        return self.build()


def as_source(network: nn.Module | NetworkSource) -> NetworkSource:
    """The source itself, or one of a network that is there."""
    return network if isinstance(network, NetworkSource) else NetworkSource(lambda: network)


def source_key(files: Sequence[Path]) -> str:
    """Key of a network by the files that describe it, this program's code and its libraries.

    Raises
    ------
    OSError
        If one of the files can't be read.
    """
    return joined_key([code_digest(), *map(_file_digest, files)])


def joined_key(parts: Iterable[str]) -> str:
    """One key of several, in this order."""
    return _digest(part.encode() + b"\n" for part in parts)


@functools.cache
def code_digest() -> str:
    """Hash of this program's code and of the versions of the libraries that networks come from."""
    folders = [Path(place) for name in _PACKAGES for place in _places(name)]
    files = [(f, path) for f in folders for path in sorted(f.rglob("*.py"))]
    named = (f"{path.relative_to(f.parent)}\n".encode() + path.read_bytes() for f, path in files)
    versions = (f"{name} {installed_version(name)}\n".encode() for name in _LIBRARIES)
    return _digest([*named, *versions])


def _places(package: str) -> Sequence[str]:
    spec = find_spec(package)
    return [] if spec is None else list(spec.submodule_search_locations or [])


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()

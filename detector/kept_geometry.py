"""What was measured on a network before (:mod:`detector.network_geometry`), from the cache folder.

Networks of one architecture share it. Where the network comes from files, it is also kept by them,
and then needs no network, and no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cryo_pick.kept_numbers import kept_numbers
from cryo_pick.network_source import NetworkSource, as_source
from detector.engine import NetworkGeometry
from detector.tiles import Shape

if TYPE_CHECKING:
    from torch import nn


def kept_receptive_field(network: nn.Module | NetworkSource, multiple: int) -> Shape:
    """As :func:`detector.network_geometry.effective_receptive_field`, measured once."""

    def measure(module: nn.Module) -> Sequence[float]:
        from detector.network_geometry import effective_receptive_field

        return effective_receptive_field(module, multiple)

    found = _kept("receptive-fields", as_source(network), multiple, [0, 0, 0], measure)
    z, y, x = (int(n) for n in found)
    return z, y, x


def kept_geometry(network: nn.Module | NetworkSource, output_stride: int) -> NetworkGeometry:
    """As :func:`detector.network_geometry.measure_geometry`, measured once.

    torch loads its compiler for shapes on the meta device, which picking can do without: it stays
    in memory as long as the process.

    Raises
    ------
    ValueError
        As :func:`detector.network_geometry.measure_geometry`.
    """

    def measure(module: nn.Module) -> Sequence[float]:
        from detector.network_geometry import measure_geometry

        found = measure_geometry(module, output_stride)
        depth = found.depth_multiple or found.multiple
        return [found.n_classes, found.multiple, found.bytes_per_voxel, depth]

    kept = _kept("geometries", as_source(network), output_stride, [0, 0, 0.0, 0], measure)
    n_classes, multiple, size, depth = kept
    return NetworkGeometry(int(n_classes), int(multiple), float(size), int(depth))


def _kept(
    kind: str,
    source: NetworkSource,
    how: int,
    like: Sequence[float],
    measure: Callable[[nn.Module], Sequence[float]],
) -> Sequence[float]:
    def of_architecture() -> Sequence[float]:
        from detector.network_geometry import architecture

        module = source.module
        return kept_numbers(kind, architecture(module, how), like, lambda: measure(module))

    key = f"{source.key}-{how}" if source.key else ""
    return kept_numbers(kind, key, like, of_architecture)

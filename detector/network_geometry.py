"""What tiling has to know about a network, measured on the network itself.

Shapes and memory come from a run on torch's meta device, which computes shapes but no values; the
receptive field from the gradient of one output cell in a copy with flat positive weights.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import inspect
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detector.engine import NetworkGeometry
from detector.tiles import Shape

_DOUBLINGS = 7
_LARGEST_ON_CPU = 128
_REFUSALS = (RuntimeError, ValueError, IndexError, AssertionError, NotImplementedError)
_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Softmax)
"""Layers without weights to flatten; a softmax over equal channels would pass no gradient."""


def measure_geometry(module: nn.Module, output_stride: int) -> NetworkGeometry:
    """Classes, tile multiple and memory of a network.

    The multiple is the smallest ``output_stride * 2**j`` of which a tile three times as long gives
    exactly one cell per stride; that along z, the same for tiles long enough along y and x.

    Raises
    ------
    ValueError
        If no such tile works: the network isn't one over single-channel volumes with that stride.
    """
    reason: Exception | str = ""
    for device in ("meta", "cpu"):  # a few layers, such as those that ask for values, refuse meta
        network = copy.deepcopy(module).eval().to(device)
        for doubling in range(_DOUBLINGS):
            multiple = output_stride * 2**doubling
            edge = 3 * multiple
            if device == "cpu" and edge > _LARGEST_ON_CPU:
                break
            found = _answer(network, (edge,) * 3, output_stride, device)
            if isinstance(found, Tensor):
                depths = (output_stride * 2**n for n in range(doubling))
                depth = next(
                    (n for n in depths if isinstance(
                        _answer(network, (3 * n, edge, edge), output_stride, device), Tensor)),
                    multiple,
                )  # fmt: skip
                edge = 4 * multiple
                peak = peak_bytes(functools.partial(_run, network, (edge,) * 3, device))
                return NetworkGeometry(int(found.shape[1]), multiple, peak / edge**3, depth)
            reason = found
    raise ValueError(
        f"Expected a network from (b, 1, d, h, w) to (b, k, d/s, h/s, w/s) with s = "
        f"{output_stride}, but got: {reason}"
    )


def _answer(
    network: nn.Module, shape: tuple[int, ...], stride: int, device: str
) -> Tensor | Exception | str:
    """The output for a tile, or why it isn't one cell per stride."""
    try:
        output = _run(network, shape, device)
    except _REFUSALS as error:
        return error
    if output.ndim == 5 and tuple(output.shape[2:]) == tuple(n // stride for n in shape):
        return output
    return f"an output of shape {tuple(output.shape)} for a tile of {shape} voxels"


def _run(network: nn.Module, shape: tuple[int, ...], device: str) -> Tensor:
    with torch.inference_mode():
        return network(torch.zeros(1, 1, *shape, device=device))


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive, and their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._users: dict[int, list[int]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                users = self._users.setdefault(storage._cdata, [0, storage.nbytes()])
                self.live += 0 if users[0] else users[1]
                users[0] += 1
                weakref.finalize(leaf, self._release, storage._cdata)
        self.peak = max(self.peak, self.live)
        return result

    def _release(self, key: int) -> None:
        users = self._users[key]
        users[0] -= 1
        if not users[0]:
            self.live -= users[1]
            del self._users[key]


def peak_bytes(run: Callable[[], object]) -> int:
    """Largest number of bytes that the tensors made by `run` take at one moment."""
    with _LiveBytes() as counter:
        run()
    return counter.peak


def effective_receptive_field(module: nn.Module, multiple: int, mass: float = 0.999) -> Shape:
    """How far around an output cell the input matters, along z, y, x, in voxels.

    The width of the window that holds `mass` of the gradient of one output cell, in a copy of the
    network whose weights are flat and whose norms are left out: those couple every voxel to every
    other, faintly. Of layers in a row, flat weights have the widest field; but in a U-Net most of
    their gradient goes through the first skip, and what deep layers see, spread thin, is little of
    it: hence nearly all of the gradient is asked for. Source of the idea: Luo et al., Understanding
    the Effective Receptive Field, NeurIPS 2016.

    Parameters
    ----------
    module
        (b, 1, d, h, w) to (b, k, ...).
    multiple
        Of the edges of its tiles, voxels.
    mass
        From 0 to 1.
    """
    network = _flat_copy(module)
    length = max(8 * multiple, 128)
    z, y, x = (_field(network, axis, length, 2 * multiple, mass) for axis in range(3))
    return z, y, x


def architecture(module: nn.Module, how: object) -> str:
    """Hash of layers, shapes, the code around them, torch's version, and how they are to be run."""
    shapes = [(name, tuple(value.shape)) for name, value in module.state_dict().items()]
    described = f"{module}{shapes}{how}{torch.__version__}"
    digest = hashlib.blake2b(described.encode(), digest_size=12)
    files = {__file__}
    for kind in {type(m) for m in module.modules()}:
        with contextlib.suppress(TypeError):  # of a class that was made at run time
            files.add(inspect.getsourcefile(kind) or __file__)
    for file in sorted(files):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def _flat_copy(module: nn.Module) -> nn.Module:
    network = copy.deepcopy(module).float().cpu().eval()
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _NORMS):
                setattr(parent, name, nn.Identity())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:  # a mean over its inputs
                parameter.fill_(parameter.shape[0] / parameter.numel())
            else:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    return network


def _field(network: nn.Module, axis: int, length: int, width: int, mass: float) -> int:
    shape = [width] * 3
    shape[axis] = length
    tile = torch.ones(1, 1, *shape, requires_grad=True)
    output = network(tile)
    centre = [n // 2 for n in output.shape[2:]]
    (gradient,) = torch.autograd.grad(output[0, :, centre[0], centre[1], centre[2]].sum(), tile)
    profile = gradient[0, 0].abs().double().sum(dim=[a for a in range(3) if a != axis])
    total = profile.cumsum(0)
    tail = float(total[-1]) * (1 - mass) / 2
    first = int(torch.searchsorted(total, tail, right=True))
    last = int(torch.searchsorted(total, float(total[-1]) - tail))
    return last - first + 1

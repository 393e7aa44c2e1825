"""How fast this machine does convolutions: a network's own, and those that suit it best."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cryo_pick.conv3d_gradient import RightGradients
from cryo_pick.hardware import Precision
from detector.engine import Engine
from detector.engine_torch import autocast
from detector.int8 import measure_ranges, rounded

_CONVOLUTIONS = (nn.Conv3d, nn.ConvTranspose3d, nn.Conv2d, nn.Linear)
"""A linear layer on voxels is a convolution with a kernel of 1."""
_FAST = ((nn.Conv3d, 64, (16, 64, 64)), (nn.Conv3d, 256, (8, 32, 32)), (nn.Conv2d, 256, (96, 96)))
"""Kind, channels in and out, and size of convolutions with kernels of 3 that suit any processor."""
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several runs after a first one."""
    run()
    times = []
    for _ in range(repeats):
        _wait_for_gpu()
        started = time.perf_counter()
        run()
        _wait_for_gpu()
        times.append(time.perf_counter() - started)
    return min(times)


def count_flops(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Operations of one forward pass, two for each multiplication with its addition."""
    copied = copy.deepcopy(module).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copied(torch.zeros(shape, device="meta"))
    return int(counter.get_total_flops())


def own_convolutions(
    module: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    precision: Precision,
    backward: bool,
    repeats: int,
) -> float:
    """Seconds of a network's convolutions in torch, each alone, on inputs of the shapes they get.

    Parameters
    ----------
    module
        Moved to `device`.
    shape
        Of the network's input.
    device, precision
        They run on and in.
    backward
        Gradients of input and weights too.
    repeats
        The fastest of so many counts.
    """
    module = module.to(device)
    inputs: list[tuple[nn.Module, tuple[int, ...]]] = []
    hooks = [
        m.register_forward_pre_hook(lambda m, args: inputs.append((m, tuple(args[0].shape))))
        for m in module.modules()
        if isinstance(m, _CONVOLUTIONS)
    ]
    with torch.no_grad(), autocast(device, precision):
        module(torch.zeros(shape, device=device))
    for hook in hooks:
        hook.remove()
    total = 0.0
    for layer, size in inputs:
        x = torch.randn(size, device=device).to(memory_format=_layout(size))
        x.requires_grad_(backward)
        total += best_seconds(partial(_once, layer, x, precision, backward), repeats)
    return total


def engine_convolutions(
    engine: Engine,
    module: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    precision: Precision,
    repeats: int,
) -> float:
    """Seconds of a network's convolutions as its engine does them, on one tile.

    OpenVINO counts them itself, within the network; of any other engine they are done by torch,
    each alone (:func:`own_convolutions`).
    """
    counted = getattr(engine, "convolution_seconds", None)
    if counted is not None:
        return float(counted(shape, repeats))
    return own_convolutions(module, shape, device, precision, False, repeats)


def fastest_convolution(
    engine: Engine, device: torch.device, precision: Precision, repeats: int
) -> float:
    """FLOP/s of the fastest of a few convolutions that suit a processor, in torch or OpenVINO.

    OpenVINO is tried where it is the engine.
    """
    found = 0.0
    for kind, channels, size in _FAST:
        layer = kind(channels, channels, 3, padding=1, bias=False).to(device).eval()
        shape = (1, channels, *size)
        x = torch.randn(shape, device=device).to(memory_format=_layout(shape))
        layer.to(memory_format=_layout(shape))
        seconds = [best_seconds(partial(_once, layer, x, precision, False), repeats)]
        if engine.name.startswith("OpenVINO"):
            from detector.openvino_convert import converted
            from detector.openvino_models import convolution_seconds

            alone: nn.Module = nn.Sequential(layer)
            if precision == "int8":
                alone = rounded(alone, measure_ranges(alone, [x]))
            model = converted(alone, (torch.zeros(shape),))
            seconds.append(convolution_seconds(model, shape, precision, repeats))
        found = max(found, count_flops(layer, shape) / min(seconds))
    return found


def _layout(shape: tuple[int, ...]) -> torch.memory_format:
    return _LAYOUTS.get(len(shape), torch.contiguous_format)


def _once(layer: nn.Module, x: Tensor, precision: Precision, backward: bool) -> None:
    with RightGradients(), torch.set_grad_enabled(backward):
        with autocast(x.device, precision):
            y = layer(x)
        if backward:
            y.backward(torch.ones_like(y))


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()

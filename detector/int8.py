"""8-bit weights and activations for CPUs that multiply them faster than bf16.

What goes into a layer is rounded to 256 steps between the extremes that were seen on the training
data; weights to 255 steps, for each output channel its own. In torch this is simulated: each layer
rounds its inputs and computes in fp32. OpenVINO finds the roundings in the network and multiplies
8-bit numbers, summed in 32 bits. Source: Jacob et al., Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference, CVPR 2018; here after training, not during it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from detector.subpixel import is_replaceable

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest input of each layer that is rounded, by the layer's name in its network."""

_LAYERS = (nn.Conv2d, nn.Conv3d, nn.Linear)
_FEWEST_CHANNELS = 16
"""Below this, 8-bit layers are no faster; one of them is the first, which sees the tomogram."""
STEPS = 255
_LARGEST_WEIGHT = 127
NARROWEST = 1e-12
"""Of ranges: fp32 holds their steps, and what lies in them is no signal."""


def rounded_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network that are worth rounding, by name."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if (isinstance(layer, _LAYERS) or is_replaceable(layer))
        and _inputs(layer) >= _FEWEST_CHANNELS
    }


def _inputs(layer: nn.Module) -> int:
    """Channels that each output channel of a layer is a sum over."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    return int(layer.in_channels) // int(layer.groups)  # type: ignore[arg-type]


def measure_ranges(module: nn.Module, tiles: Iterable[Tensor]) -> dict[str, tuple[float, float]]:
    """Extremes of what goes into each layer of :func:`rounded_layers`, over some tiles.

    Parameters
    ----------
    module
        In fp32, for evaluation.
    tiles
        (b, 1, d, h, w) each, normalised as in training.
    """
    found: dict[str, tuple[float, float]] = {}

    def look(name: str, values: Tensor) -> None:
        low, high = (float(v) for v in values.aminmax())
        before = found.get(name, (0.0, 0.0))
        found[name] = (min(before[0], low), max(before[1], high))

    look_at_inputs(module, tiles, look)
    return found


def look_at_inputs(
    module: nn.Module, tiles: Iterable[Tensor], look: Callable[[str, Tensor], None]
) -> None:
    """Run a network over tiles and show what goes into each layer of :func:`rounded_layers`.

    Parameters
    ----------
    module, tiles
        As for :func:`measure_ranges`.
    look
        Called with a layer's name and its input.
    """

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        return layer.register_forward_pre_hook(lambda _, args: look(name, args[0]))

    handles = [watch(name, layer) for name, layer in rounded_layers(module).items()]
    try:
        with torch.inference_mode():
            for tile in tiles:
                module(tile)
    finally:
        for handle in handles:
            handle.remove()


def rounding_error(module: nn.Module, simulated: nn.Module, tiles: Iterable[Tensor]) -> float:
    """What rounding changes in a network's answers, root mean square, as a share of their own.

    Parameters
    ----------
    module, simulated
        The network, and what :func:`rounded` made of it.
    tiles
        As for :func:`measure_ranges`.
    """
    changed = size = 0.0
    with torch.inference_mode():
        for tile in tiles:
            answer = module(tile)
            changed += float((simulated(tile) - answer).double().square().sum())
            size += float(answer.double().square().sum())
    return (changed / size) ** 0.5 if size else 0.0


class RoundedInput(nn.Module):
    """Rounds to 256 steps from `low` to `high`, moved so that one of them is 0.

    Parameters
    ----------
    low, high
        At most and at least 0, and not the same.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        scale = (high - low) / STEPS
        self.register_buffer("scale", torch.tensor([scale], dtype=torch.float32))
        self.register_buffer("zero", torch.tensor([round(-low / scale)], dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero, 0, STEPS)


class RoundedWeight(nn.Module):
    """Rounds a layer's weights to 255 steps for each output channel.

    Parameters
    ----------
    weight
        Output channels first.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        largest = weight.detach().abs().flatten(1).amax(1).clamp_min(NARROWEST)
        self.register_buffer("scale", largest / _LARGEST_WEIGHT)
        self.register_buffer("zero", torch.zeros(len(weight), dtype=torch.int32))

    def forward(self, weight: Tensor) -> Tensor:
        """Of the layer's shape."""
        return torch.fake_quantize_per_channel_affine(
            weight, self.scale, self.zero, 0, -_LARGEST_WEIGHT, _LARGEST_WEIGHT
        )


def rounded(module: nn.Module, ranges: Ranges) -> nn.Module:
    """A copy of a network whose layers round their inputs and weights.

    Parameters
    ----------
    module
        In fp32, for evaluation, as :func:`detector.subpixel.without_transposed` made it.
    ranges
        As :func:`measure_ranges` found them. A layer that is not named, or whose inputs were all
        but 0, stays as it is.
    """
    copied = copy.deepcopy(module)
    for name, (low, high) in ranges.items():
        if high - low < NARROWEST:
            continue
        parent_name, _, own = name.rpartition(".")
        parent, layer = copied.get_submodule(parent_name), copied.get_submodule(name)
        weight = layer.get_parameter("weight")
        register_parametrization(layer, "weight", RoundedWeight(weight))
        setattr(parent, own, nn.Sequential(RoundedInput(low, high), layer))
    return copied

"""Weight gradients of 3D convolutions that are right in bf16 on the CPU.

oneDNN's kernel for them (``brgconv_bwd_w`` in 3D, as in torch 2.14.1) is wrong where a plane times
its channels is large (seen on CPUs with AMX) and where the volume is shorter than the kernel along
an axis, so that padding is part of every sum (seen on a CPU with avx512_bf16): it returns NaN or
other numbers each time, stops both threads for ever at its barriers, or crashes. Its kernel in 2D
is right, and so are the forward pass and the gradient of the input in 3D. The gradient of a 3D
kernel is that of one 2D kernel for each of its planes, over slices of the batch, which is what is
computed here; it is the same sum.
benchmarks/conv3d_gradient.py compares both with fp32 (docs/decisions/conv3d-gradient.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LARGEST_PLANE = 2**16
"""Elements of a plane, all channels, up to which oneDNN's kernel is used, which is faster there.

The smallest one seen to go wrong has 102,400 (2 threads, 1024 channels of 10 x 10)."""
_BLOCK = 16
"""Channels are computed by so many; a plane with fewer is as large as one with so many."""
_DIMENSIONS = 3


class RightGradients(TorchFunctionMode):
    """Within it, weight gradients of 3D convolutions are right on the CPU in bf16 too.

    Forward and backward pass have to be within, for a recomputed forward pass. Transposed ones are
    included. Everything else is left to torch: other devices, fp32, small planes of volumes that
    no kernel is longer than.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do a convolution with gradients of our own where it needs that, or as torch does."""
        kwargs = kwargs or {}
        if func is functional.conv3d:
            ours = _conv3d(*args, **kwargs)
        elif func is functional.conv_transpose3d:
            ours = _conv_transpose3d(*args, **kwargs)
        else:
            ours = None
        return func(*args, **kwargs) if ours is None else ours


def weight_gradient(
    volume: Tensor,
    output_gradient: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """Gradient of a 3D convolution's weights, one plane of the kernel after the other in 2D.

    Parameters
    ----------
    volume
        Its input, batch x channels x d x h x w.
    output_gradient
        Gradient of its output, batch x channels of the output x d' x h' x w'.
    kernel, stride, padding, dilation
        By axis, z y x.
    groups
        Of channels.

    Returns
    -------
    Tensor
        Channels of the output x channels of a group x the kernel's size, in the input's type.
    """
    channels, depth = volume.shape[1:3]
    n_out = output_gradient.shape[1]
    # Slices as images, channels last: without a copy where the batch is one volume.
    x, y = _channels_behind(volume), _channels_behind(output_gradient)
    like = volume.new_empty(n_out, channels // groups, *kernel[1:])
    like = like.contiguous(memory_format=torch.channels_last)
    planes = []
    for k in range(kernel[0]):
        shift = k * dilation[0] - padding[0]  # input slice of output slice 0
        first = max(0, -(shift // stride[0]))
        last = min(y.shape[1], (depth - 1 - shift) // stride[0] + 1)
        if first >= last:
            planes.append(torch.zeros_like(like))
            continue
        start = shift + first * stride[0]
        seen = x[:, start : start + (last - first - 1) * stride[0] + 1 : stride[0]]
        planes.append(
            torch.ops.aten.convolution_backward(
                _as_images(y[:, first:last]), _as_images(seen), like, None, list(stride[1:]),
                list(padding[1:]), list(dilation[1:]), False, [0, 0], groups, [False, True, False],
            )[1]
        )  # fmt: skip
    return torch.stack(planes, 2)


def _channels_behind(volume: Tensor) -> Tensor:
    return volume.permute(0, 2, 3, 4, 1).contiguous()


def _as_images(slices: Tensor) -> Tensor:
    return slices.reshape(-1, *slices.shape[2:]).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """A 3D convolution, transposed or not, whose weight gradient is computed by slices."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.bfloat16)  # type: ignore[untyped-decorator]
    def forward(
        ctx: Any, volume: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(volume, weight)
        ctx.settings = settings
        stride, padding, dilation, transposed, output_padding, groups = settings
        return torch.convolution(
            volume, weight, bias, stride, padding, dilation, transposed, output_padding, groups
        )

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        volume, weight = ctx.saved_tensors
        stride, padding, dilation, transposed, output_padding, groups = ctx.settings
        wanted = ctx.needs_input_grad
        of_volume = of_weight = of_bias = None
        if wanted[0]:
            of_volume = torch.ops.aten.convolution_backward(
                gradient, volume, weight, None, stride, padding, dilation, transposed,
                output_padding, groups, [True, False, False],
            )[0]  # fmt: skip
        if wanted[1]:
            # A transposed convolution is the gradient of one from its output to its input.
            seen, given = (gradient, volume) if transposed else (volume, gradient)
            kernel = weight.shape[2:]
            of_weight = weight_gradient(seen, given, kernel, stride, padding, dilation, groups)
        if wanted[2]:
            of_bias = gradient.sum((0, 2, 3, 4), dtype=torch.float32)
        return of_volume, of_weight, of_bias, None


def _conv3d(
    input: Tensor,  # torch's names
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    dilations = _three(dilation)
    if padding == "same":
        # What an even kernel needs more on one side is added as torch does it, behind.
        spans = [d * (k - 1) for k, d in zip(weight.shape[2:], dilations, strict=True)]
        padding = [n // 2 for n in spans]
        if any(n % 2 for n in spans):
            input = functional.pad(input, [v for n in reversed(spans) for v in (0, n % 2)])
    paddings = _three(0 if padding == "valid" else padding)
    settings = (_three(stride), paddings, dilations, False, [0, 0, 0], groups)
    return _convolve(input, weight, bias, settings)


def _conv_transpose3d(
    input: Tensor,  # torch's names
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor | None:
    added = _three(output_padding)
    settings = (_three(stride), _three(padding), _three(dilation), True, added, groups)
    return _convolve(input, weight, bias, settings)


def _convolve(
    volume: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...]
) -> Tensor | None:
    """With gradients of our own; None where torch's are right."""
    if not _may_go_wrong(volume, weight):
        return None
    stride, padding, dilation, transposed, added, groups = settings
    n_out = weight.shape[1] * groups if transposed else weight.shape[0]
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    output = []
    for axis, size in enumerate(volume.shape[2:]):
        if transposed:
            length = (size - 1) * stride[axis] - 2 * padding[axis] + spans[axis] + added[axis]
        else:
            length = (size + 2 * padding[axis] - spans[axis]) // stride[axis] + 1
        output.append(length)
    # A transposed convolution is the gradient of one from its output to its input.
    short = any(
        n < s for n, s in zip(output if transposed else volume.shape[2:], spans, strict=True)
    )
    large = max(_plane(volume.shape[1:]), _plane((n_out, *output))) > LARGEST_PLANE
    if not (short or large):
        return None
    answer: Tensor = _Convolution.apply(volume, weight, bias, settings)
    return answer


def _three(value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * _DIMENSIONS if len(values) == 1 else values


def _may_go_wrong(volume: Tensor, weight: Tensor) -> bool:
    """Whether a convolution's weight gradient is computed in bf16 on the CPU."""
    if volume.device.type != "cpu" or volume.ndim != _DIMENSIONS + 2:
        return False
    learns = torch.is_grad_enabled() and weight.requires_grad
    half = torch.is_autocast_enabled("cpu") or volume.dtype == torch.bfloat16
    return learns and half


def _plane(shape: Sequence[int]) -> int:
    """Elements of a plane as oneDNN lays it out, of channels x d x h x w."""
    return -(-shape[0] // _BLOCK) * _BLOCK * shape[2] * shape[3]

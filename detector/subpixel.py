"""Transposed convolutions as plain ones, which runtimes compute faster.

OpenVINO 2026.4 computes a transposed 3D convolution in fp32 where all others run in bf16 or int8,
and oneDNN computes 16 output channels where a heatmap of 6 classes needs 6. The same sums are a
plain convolution that makes all s³ cells of a block as channels, followed by a rearrangement of
channels to voxels. Source: Shi et al., Is the deconvolution layer the same as a convolutional
layer?, arXiv 1609.07009 (2016).
"""

from __future__ import annotations

import copy
import itertools
import math

import torch
from torch import Tensor, nn

from detector.decoder import shuffle_up


class SubpixelConv3d(nn.Conv3d):
    """The plain convolution that computes what a transposed one computes.

    Parameters
    ----------
    transposed
        One that :func:`is_replaceable`; its weights are copied.

    Raises
    ------
    ValueError
        If it isn't.
    """

    def __init__(self, transposed: nn.ConvTranspose3d) -> None:
        if not is_replaceable(transposed):
            raise ValueError(f"Expected one that is replaceable, but got {transposed}.")
        z, y, x = (
            _Axis(k, s, p)
            for k, s, p in zip(
                transposed.kernel_size, transposed.stride, _padding(transposed), strict=True
            )
        )
        blocks = math.prod(transposed.stride)
        inputs, outputs = transposed.in_channels, transposed.out_channels
        kernel = (z.taps, y.taps, x.taps)
        super().__init__(inputs, blocks * outputs, kernel, bias=transposed.bias is not None)
        self._factor = (z.stride, y.stride, x.stride)
        self._pads = (*x.pads, *y.pads, *z.pads)
        with torch.no_grad():
            weight = self.weight.view(outputs, *self._factor, inputs, *kernel).zero_()
            for (r, i, t), (s, j, u), (q, k, v) in itertools.product(z.terms, y.terms, x.terms):
                weight[:, r, s, q, :, i, j, k] = transposed.weight[:, :, t, u, v].T
            if self.bias is not None and transposed.bias is not None:
                self.bias.copy_(transposed.bias.repeat_interleave(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, d, h, w) to (b, c', d sz, h sy, w sx)."""
        return shuffle_up(super().forward(nn.functional.pad(x, self._pads)), self._factor)


class _Axis:
    """One axis: output cell ``stride * m + r`` is a sum over inputs ``m + i - before``."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        # Input j reaches output stride * j - padding + t with tap t of the kernel.
        shifts = [
            (r, (r + padding - t) // stride, t)
            for r in range(stride)
            for t in range(kernel)
            if (r + padding - t) % stride == 0
        ]
        first, last = min(s for _, s, _ in shifts), max(s for _, s, _ in shifts)
        self.stride, self.taps, self.pads = stride, last - first + 1, (-first, last)
        self.terms = [(r, shift - first, t) for r, shift, t in shifts]
        """Cell in the block, tap of the plain kernel, tap of the transposed one."""


def _padding(module: nn.ConvTranspose3d) -> tuple[int, ...]:
    return tuple(int(p) for p in module.padding)


def is_replaceable(module: nn.Module) -> bool:
    """Whether it is a transposed convolution that is worth replacing, and can be.

    Its output is exactly its stride times as large, and its kernel larger than its stride: else
    the blocks don't overlap, and the rearrangement costs more than it saves.
    """
    return (
        isinstance(module, nn.ConvTranspose3d)
        and module.groups == 1
        and set(module.dilation) == {1}
        and any(k > s for k, s in zip(module.kernel_size, module.stride, strict=True))
        and all(
            k - s - 2 * p + o == 0 and k >= s
            for k, s, p, o in zip(
                module.kernel_size, module.stride, _padding(module), module.output_padding,
                strict=True,
            )
        )
    )  # fmt: skip


def without_transposed(module: nn.Module) -> nn.Module:
    """A copy of a network with plain convolutions for the transposed ones that have an equal.

    With a kernel of 3 and a stride of 2 a plain one multiplies 64 times for each cell and channel
    instead of 27, as it multiplies zeros too; in bf16 that is faster nevertheless, in fp32 not
    (benchmarks/subpixel.py).
    """
    copied = copy.deepcopy(module)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ConvTranspose3d) and is_replaceable(child):
                setattr(parent, name, SubpixelConv3d(child).train(child.training))
    return copied

"""A U-shaped 3D decoder that asks the encoder for the channels and reductions of its maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Reduction = tuple[int, int, int]


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution of 3x3x3, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Two of :func:`conv_block`."""
    return nn.Sequential(*conv_block(inputs, outputs), *conv_block(outputs, outputs))


def shuffle_up(x: Tensor, factor: Reduction) -> Tensor:
    """Channels to blocks of voxels: (b, c z y x, d, h, w) to (b, c, d z, h y, w x)."""
    z, y, x_ = factor
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // (z * y * x_), z, y, x_, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, c // (z * y * x_), d * z, h * y, w * x_)


class UpBlock(nn.Module):
    """Repeat every cell, join the encoder's map of that size if there is one, convolve twice."""

    def __init__(self, inputs: int, skip: int, outputs: int, factor: Reduction) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=tuple(float(f) for f in factor), mode="nearest")
        self.body = double_conv(inputs + skip, outputs)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """(b, c, d, h, w) and a map of the next finer size to the widths of that size."""
        x = self.up(x)
        return self.body(x if skip is None else torch.cat([x, skip], 1))


class Decoder(nn.Module):
    """From the coarsest map up, one block per width.

    A block brings the map to the size of the next finer map of the encoder and joins it. Where the
    encoder has no finer one, a block doubles each axis that is still coarser than `finest`.

    Parameters
    ----------
    channels, reductions
        Of the encoder's maps, finest first.
    widths
        Of the blocks, coarsest first.
    finest
        Voxels per cell, at which no axis is enlarged any more.

    Attributes
    ----------
    reductions : list of (z, y, x)
        Voxels per cell of each block's output.

    Raises
    ------
    ValueError
        If a block would have nothing to enlarge.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[Reduction],
        widths: Sequence[int],
        finest: int = 1,
    ) -> None:
        super().__init__()
        finer = list(zip(reductions, channels, strict=True))[-2::-1]
        width, now = channels[-1], tuple(reductions[-1])
        self.reductions: list[Reduction] = []
        blocks = []
        for i, wanted in enumerate(widths):
            if i < len(finer):
                there, skip = finer[i]
            else:
                z, y, x = (r // 2 if r > finest else r for r in now)
                there, skip = (z, y, x), 0
            factor = _factor(now, there)
            blocks.append(UpBlock(width, skip, wanted, factor))
            self.reductions.append(there)
            width, now = wanted, there
        self.blocks = nn.ModuleList(blocks)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The encoder's maps, finest first, to the output of each block, coarsest first."""
        x, finer = features[-1], list(features[-2::-1])
        outputs = []
        for i, block in enumerate(self.blocks):
            x = block(x, finer[i] if i < len(finer) else None)
            outputs.append(x)
        return outputs


def _factor(now: Sequence[int], there: Sequence[int]) -> Reduction:
    if tuple(now) == tuple(there) or any(a % b for a, b in zip(now, there, strict=True)):
        raise ValueError(
            f"Expected fewer decoder widths: nothing to enlarge from {tuple(now)} "
            f"to {tuple(there)} voxels per cell."
        )
    z, y, x = (a // b for a, b in zip(now, there, strict=True))
    return z, y, x

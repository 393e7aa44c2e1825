"""A residual U-Net that convolves nothing above a quarter of the resolution.

The tomogram's 2x2x2 blocks become channels, a convolution of stride 2 brings them to a quarter
of the resolution, and the head's channels are shuffled back into 2x2x2 blocks: heatmaps at half
the resolution for the price of a quarter. Source of the idea: the pixel-shuffle head of the 4th
place of the CZII challenge (yu4u). Batch norm, so that the result doesn't depend on the tile and
the norm folds into the convolutions at inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

OUTPUT_STRIDE = 2


def fold_blocks(x: Tensor, r: int) -> Tensor:
    """Blocks of r³ voxels to channels: (b, c, d, h, w) to (b, c r³, d/r, h/r, w/r)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d // r, r, h // r, r, w // r, r)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * r**3, d // r, h // r, w // r)


def unfold_blocks(x: Tensor, r: int) -> Tensor:
    """Channels to blocks of r³ voxels; the inverse of :func:`fold_blocks`."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // r**3, r, r, r, d, h, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // r**3, d * r, h * r, w * r)


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with batch norm around a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, d, h, w) to the same shape."""
        return torch.relu(x + self.body(x))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )


class ShuffleUNet(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    n_classes
    channels
        Width at a quarter, an eighth, ... of the resolution.
    blocks
        Residual blocks at each of these levels.
    decoder_blocks
        Residual blocks at each level on the way up.
    """

    def __init__(
        self, n_classes: int, channels: Sequence[int], blocks: Sequence[int], decoder_blocks: int
    ) -> None:
        super().__init__()
        widths = list(channels)
        self.down = nn.ModuleList(
            nn.Sequential(_down(i, o), *(ResidualBlock(o) for _ in range(n)))
            for i, o, n in zip([8, *widths[:-1]], widths, blocks, strict=True)
        )
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv3d(i, o, 1, bias=False), nn.BatchNorm3d(o))
            for o, i in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(o) for _ in range(decoder_blocks))) for o in widths[:-1]
        )
        self.head = nn.Conv3d(widths[0], n_classes * 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, d, h, w) to raw heatmaps (b, k, d/2, h/2, w/2)."""
        x = fold_blocks(x, 2)
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        x = skips.pop()
        for lateral, up, skip in zip(
            reversed(self.lateral), reversed(self.up), reversed(skips), strict=True
        ):
            x = nn.functional.interpolate(lateral(x), scale_factor=2.0, mode="nearest")
            x = up(torch.relu(x + skip))
        return unfold_blocks(self.head(x), 2)


def build(
    n_classes: int,
    channels: Sequence[int] = (48, 96),
    blocks: Sequence[int] = (1, 2),
    decoder_blocks: int = 1,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2); sizes multiples of 8 or 16."""
    if len(channels) != len(blocks):
        raise ValueError(
            f"Expected arguments `channels` and `blocks` of one length, "
            f"but got {channels} and {blocks}."
        )
    return ShuffleUNet(n_classes, channels, blocks, decoder_blocks)

"""Two patch networks side by side: the middle at full resolution, all of it at half of it.

For a patch of 64 voxels both see 32 cubed, so it costs about what one patch of 40 does, with
1.6 times its field of view.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from refiner.networks.patch_net import PatchNet


class TwoScales(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    near, far
        Networks over the middle and over the whole, whose answers are added.
    """

    def __init__(self, near: PatchNet, far: PatchNet) -> None:
        super().__init__()
        self.near, self.far = near, far

    def forward(self, patch: Tensor, heatmap: Tensor, stage1: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`refiner.networks.patch_net.PatchNet.forward`."""
        near = self.near(middle(patch), middle(heatmap), stage1)
        far = self.far(F.avg_pool3d(patch, 2), F.avg_pool3d(heatmap, 2), stage1)
        return near[0] + far[0], near[1] + far[1]


def middle(x: Tensor) -> Tensor:
    """The middle half of a cube along each axis."""
    quarter, half = x.shape[-1] // 4, x.shape[-1] // 2
    for axis in (-3, -2, -1):
        x = x.narrow(axis, quarter, half)
    return x.contiguous(memory_format=torch.channels_last_3d)


def build(
    n_classes: int,
    channels: Sequence[int] = (32, 64),
    blocks: Sequence[int] = (1, 1),
    hidden: int = 128,
    dropout: float = 0.2,
    heatmap: bool = True,
    scores: bool = True,
) -> nn.Module:
    """The network; patches of an edge that 16 divides, for two levels."""
    if len(channels) != len(blocks):
        raise ValueError(
            f"Expected arguments `channels` and `blocks` of one length, "
            f"but got {channels} and {blocks}."
        )

    def scale() -> PatchNet:
        return PatchNet(
            n_classes, channels, blocks, hidden, dropout, "residual", False, heatmap, scores
        )

    return TwoScales(scale(), scale())

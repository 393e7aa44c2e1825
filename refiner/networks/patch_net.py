"""A small residual 3D network over a patch and the heatmaps of stage 1 around it.

The patch enters with its 2x2x2 blocks as channels, beside the heatmaps, which have half its
resolution. Two poolings see the last map: the mean, and a mean weighted towards the centre,
where the particle is. The candidate's own stage-1 scores join them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detector.networks.shuffle_unet import ResidualBlock, fold_blocks

OFFSET_UNIT = 10.0
"""Å that an offset of 1 at the network's output stands for."""


class PatchNet(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    n_classes
    channels
        Width at a quarter and an eighth of the resolution, and so on.
    blocks
        Residual blocks at each of these levels.
    hidden
        Width of the layer before the outputs.
    dropout
        Share of that layer's units that a training step leaves out.
    """

    def __init__(
        self,
        n_classes: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        width = 8 + n_classes
        for channel, n in zip(channels, blocks, strict=True):
            stages += [
                nn.Conv3d(width, channel, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm3d(channel),
                nn.ReLU(inplace=True),
                *(ResidualBlock(channel) for _ in range(n)),
            ]
            width = channel
        self.body = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Linear(2 * width + n_classes, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)
        )
        self.classify = nn.Linear(hidden, n_classes + 1)
        self.locate = nn.Linear(hidden, 3)

    def forward(self, patch: Tensor, heatmap: Tensor, stage1: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of every class and of none, and the way to the particle's centre.

        Parameters
        ----------
        patch : (b, 1, p, p, p) tensor
        heatmap : (b, k, p/2, p/2, p/2) tensor
        stage1 : (b, k) tensor in [0, 1]

        Returns
        -------
        (b, k + 1) logits, (b, 3) offsets zyx in units of :data:`OFFSET_UNIT`
        """
        x = self.body(torch.cat([fold_blocks(patch, 2), heatmap], 1))
        weight = centre_weight(x.shape[-1], x.device, x.dtype)
        scores = torch.logit(stage1.clamp(0.01, 0.99)) / 4
        features = torch.cat([x.mean((2, 3, 4)), (x * weight).sum((2, 3, 4)), scores], 1)
        hidden = self.head(features)
        return self.classify(hidden), self.locate(hidden)


def centre_weight(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Gaussian weights (size, size, size) around the middle, one fifth of the edge wide, sum 1."""
    axis = torch.arange(size, device=device, dtype=dtype) - (size - 1) / 2
    line = torch.exp(-0.5 * (axis / (0.2 * size)) ** 2)
    line = line / line.sum()
    return line[:, None, None] * line[None, :, None] * line[None, None, :]


def build(
    n_classes: int,
    channels: Sequence[int] = (32, 64),
    blocks: Sequence[int] = (1, 1),
    hidden: int = 128,
    dropout: float = 0.2,
) -> nn.Module:
    """The network; patches of an edge that 8 divides, for two levels."""
    if len(channels) != len(blocks):
        raise ValueError(
            f"Expected arguments `channels` and `blocks` of one length, "
            f"but got {channels} and {blocks}."
        )
    return PatchNet(n_classes, channels, blocks, hidden, dropout)

"""A small residual 3D network over a patch and the heatmaps of stage 1 around it.

The patch enters with its 2x2x2 blocks as channels, beside the heatmaps, which have half its
resolution. Two poolings see the last map: the mean, and a mean weighted towards the centre,
where the particle is. The candidate's own stage-1 scores join them.

Which of its options pay is measured in docs/decisions/refiner.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from detector.networks.shuffle_unet import ResidualBlock, fold_blocks


class ConvNextBlock(nn.Module):
    """Depthwise 5x5x5, then a bottleneck turned inside out (https://arxiv.org/abs/2201.03545).

    Batch norm instead of layer norm, so that it folds into the convolution at inference.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm3d(channels),
            nn.Conv3d(channels, 4 * channels, 1),
            nn.GELU(),
            nn.Conv3d(4 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, d, h, w) to the same shape."""
        return x + self.body(x)


class Squeeze(nn.Module):
    """Channels weighed by a small network of their means (https://arxiv.org/abs/1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(channels, channels // 4),
            nn.ReLU(inplace=True),
            nn.Linear(channels // 4, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, d, h, w) to the same shape."""
        return x * self.weigh(x.mean((2, 3, 4)))[:, :, None, None, None]


BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "residual": ResidualBlock,
    "convnext": ConvNextBlock,
}


class PatchNet(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    n_classes
    channels
        Width at a quarter and an eighth of the resolution, and so on.
    blocks
        Blocks at each of these levels.
    hidden
        Width of the layer before the outputs.
    dropout
        Share of that layer's units that a training step leaves out.
    block
        A name in :data:`BLOCKS`.
    squeeze
        Whether each level ends by weighing its channels.
    heatmap
        Whether the heatmaps are seen.
    scores
        Whether the candidate's own scores of stage 1 are seen.
    """

    def __init__(
        self,
        n_classes: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        hidden: int,
        dropout: float,
        block: str,
        squeeze: bool,
        heatmap: bool,
        scores: bool,
    ) -> None:
        super().__init__()
        self.heatmap, self.scores = heatmap, scores
        stages: list[nn.Module] = []
        width = 8 + (n_classes if heatmap else 0)
        for channel, n in zip(channels, blocks, strict=True):
            stages += [
                nn.Conv3d(width, channel, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm3d(channel),
                nn.ReLU(inplace=True),
                *(BLOCKS[block](channel) for _ in range(n)),
                *([Squeeze(channel)] if squeeze else []),
            ]
            width = channel
        self.body = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Linear(2 * width + (n_classes if scores else 0), hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
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
        (b, k + 1) logits, (b, 3) offsets zyx in units of :data:`refiner.engine.OFFSET_UNIT`
        """
        x = fold_blocks(patch, 2)
        x = self.body(torch.cat([x, heatmap], 1) if self.heatmap else x)
        weight = centre_weight(x.shape[-1], x.device, x.dtype)
        features = [x.mean((2, 3, 4)), (x * weight).sum((2, 3, 4))]
        if self.scores:
            p = stage1.clamp(0.01, 0.99)
            features.append(torch.log(p / (1 - p)) / 4)  # OpenVINO can't convert torch.logit
        hidden = self.head(torch.cat(features, 1))
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
    block: str = "residual",
    squeeze: bool = False,
    heatmap: bool = True,
    scores: bool = True,
) -> nn.Module:
    """The network; patches of an edge that 8 divides, for two levels."""
    if len(channels) != len(blocks):
        raise ValueError(
            f"Expected arguments `channels` and `blocks` of one length, "
            f"but got {channels} and {blocks}."
        )
    if block not in BLOCKS:
        raise ValueError(
            f"Expected argument `block` to be one of {', '.join(BLOCKS)}, but got {block!r}."
        )
    return PatchNet(n_classes, channels, blocks, hidden, dropout, block, squeeze, heatmap, scores)

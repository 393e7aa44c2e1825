"""The head of an anchor-free point detector: at each cell a score per class and an offset.

Source: CZII challenge, 1st place, detection (Khvedchenya): two convolutions of 48 channels before
the scores, whose bias starts at -4, and of 16 before the offset, which a tanh keeps within one
cell. The bias makes all scores small at first, so that the many empty cells cost little.

In evaluation the points are drawn into a heatmap, so that a point detector is tiled, mirrored,
averaged with others and read like any other network: every cell draws a Gaussian as high as its
score at the place that it means, and where several draw the largest value stays. A peak of that
heatmap, located with the same Gaussian, is the point again.
"""

from __future__ import annotations

import functools
import itertools

import torch
from torch import Tensor, nn

N_OFFSETS = 3
"""Channels after the scores: z, y, x."""

SCORES, OFFSETS, SCORE_BIAS = 48, 16, -4.0
"""Channels before the scores and before the offsets, and where the scores begin."""

SIGMA = 1.0
"""Of the Gaussians that are drawn, cells."""


class PointsHead(nn.Module):
    """Scores and offsets from a feature map; in evaluation the heatmap that they draw.

    Parameters
    ----------
    inputs, n_classes
    channels
        Before the scores and before the offsets.
    """

    def __init__(
        self, inputs: int, n_classes: int, channels: tuple[int, int] = (SCORES, OFFSETS)
    ) -> None:
        super().__init__()
        self.scores = _branch(inputs, channels[0], n_classes, SCORE_BIAS)
        self.offsets = _branch(inputs, channels[1], N_OFFSETS)

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, ...) to logits and offsets (b, k + 3, ...), or to a heatmap (b, k, ...)."""
        scores, offsets = self.scores(features), torch.tanh(self.offsets(features))
        if self.training:
            return torch.cat([scores, offsets], 1)
        return draw_points(scores.sigmoid(), offsets)


def draw_points(scores: Tensor, offsets: Tensor) -> Tensor:
    """The largest of the Gaussians that a cell and its 26 neighbours draw there.

    Parameters
    ----------
    scores : (b, k, d, h, w) tensor in [0, 1]
    offsets : (b, 3, d, h, w) tensor, cells
        From the cell's centre to the point that it means, zyx.

    Returns
    -------
    (b, k, d, h, w) tensor in [0, 1]
    """
    pad = (1,) * 6
    d, h, w = scores.shape[2:]
    scores, offsets = (nn.functional.pad(x, pad) for x in (scores, offsets))

    def drawn(z: int, y: int, x: int) -> Tensor:
        there = (slice(None), slice(None), slice(z, z + d), slice(y, y + h), slice(x, x + w))
        place = scores.new_tensor([z - 1, y - 1, x - 1]).view(1, 3, 1, 1, 1)
        far = (offsets[there] + place).square().sum(1, keepdim=True)
        return scores[there] * torch.exp(far * (-0.5 / SIGMA**2))

    neighbours = itertools.product(range(3), repeat=3)
    return functools.reduce(torch.maximum, (drawn(*shift) for shift in neighbours))


def _branch(inputs: int, channels: int, outputs: int, bias: float | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in (inputs, channels):
        layers += [nn.Conv3d(n, channels, 3, padding=1), nn.SiLU(), nn.InstanceNorm3d(channels)]
    last = nn.Conv3d(channels, outputs, 1)
    if bias is not None and last.bias is not None:
        nn.init.constant_(last.bias, bias)
    return nn.Sequential(*layers, last)

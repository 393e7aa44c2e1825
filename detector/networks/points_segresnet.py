"""MONAI's SegResNet as an anchor-free point detector at half the resolution.

Source: CZII challenge, 1st place, detection (Khvedchenya): 32 filters, blocks 1, 2, 2, 4 down and
one per level up, dropout 0.2, group norm. The last level up is left out: the head works at
stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import SegResNet
from torch import nn

from detector.points_head import OFFSETS, SCORES, PointsHead

OUTPUT_STRIDE = 2
OUTPUT = "points"


def build(
    n_classes: int,
    filters: int = 32,
    blocks_down: Sequence[int] = (1, 2, 2, 4),
    dropout: float = 0.2,
    head: Sequence[int] = (SCORES, OFFSETS),
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2); see the head."""
    network = SegResNet(
        spatial_dims=3,
        init_filters=filters,
        in_channels=1,
        out_channels=1,
        dropout_prob=dropout or None,
        blocks_down=tuple(blocks_down),
        blocks_up=(1,) * (len(blocks_down) - 1),
        use_conv_final=False,
    )
    network.up_samples, network.up_layers = network.up_samples[:-1], network.up_layers[:-1]
    del network.conv_final
    return nn.Sequential(network, PointsHead(2 * filters, n_classes, (head[0], head[1])))

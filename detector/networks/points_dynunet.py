"""MONAI's DynUNet as an anchor-free point detector at half the resolution.

Source: CZII challenge, 1st place, detection (Khvedchenya): residual blocks, instance norm, leaky
ReLU of slope 0.01. Widths are not published; these are ours. The first block has stride 2, so that
the head works at half the resolution. Its second head, at stride 4, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import DynUNet
from torch import nn

from detector.points_head import OFFSETS, SCORES, PointsHead

OUTPUT_STRIDE = 2
OUTPUT = "points"


def build(
    n_classes: int,
    filters: Sequence[int] = (32, 64, 128, 256),
    features: int = 48,
    head: Sequence[int] = (SCORES, OFFSETS),
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2); see the head."""
    levels = len(filters)
    network = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=features,
        kernel_size=[3] * levels,
        strides=[2] * levels,
        upsample_kernel_size=[2] * (levels - 1),
        filters=list(filters),
        norm_name=("instance", {"affine": True}),
        act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
        res_block=True,
    )
    # Every block stands twice in it, under its name and in `skip_layers`, which is what runs.
    del network.input_block, network.downsamples, network.bottleneck, network.upsamples
    return nn.Sequential(network, PointsHead(features, n_classes, (head[0], head[1])))

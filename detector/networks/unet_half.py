"""The 2nd place's 1.1 M-parameter MONAI UNet behind a convolution of stride 2.

Source: CZII challenge, 2nd place (Luo, Wang): channels 48, 64, 80, 80, strides 2, 2, 1, one
residual unit, instance norm, PReLU. Here the stem halves the resolution first, which costs
little accuracy and saves most of the time (1st place: 0.002 for half the time).
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import nn

OUTPUT_STRIDE = 2


def build(
    n_classes: int,
    stem: int = 32,
    channels: Sequence[int] = (48, 64, 80, 80),
    strides: Sequence[int] = (2, 2, 1),
    residual_units: int = 1,
    norm: str = "INSTANCE",
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2); d, h, w multiples of 8."""
    unet = UNet(
        spatial_dims=3,
        in_channels=stem,
        out_channels=n_classes,
        channels=tuple(channels),
        strides=tuple(strides),
        num_res_units=residual_units,
        norm=norm,
        act="PRELU",
    )
    return nn.Sequential(nn.Conv3d(1, stem, kernel_size=3, stride=2, padding=1), unet)

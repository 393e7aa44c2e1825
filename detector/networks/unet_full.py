"""The 2nd place's 1.1 M-parameter MONAI UNet as it was: at full resolution.

Source: CZII challenge, 2nd place (Luo, Wang): channels 48, 64, 80, 80, strides 2, 2, 1, one
residual unit, InstanceNorm3d, PReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import nn

from detector.probabilities import Probabilities

OUTPUT_STRIDE = 1


def build(
    n_classes: int,
    channels: Sequence[int] = (48, 64, 80, 80),
    strides: Sequence[int] = (2, 2, 1),
    residual_units: int = 1,
    norm: str = "INSTANCE",
    softmax: bool = False,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d, h, w); edges multiples of the strides."""
    network = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=n_classes + softmax,
        channels=tuple(channels),
        strides=tuple(strides),
        num_res_units=residual_units,
        norm=norm,
        act="PRELU",
    )
    return Probabilities(network) if softmax else network

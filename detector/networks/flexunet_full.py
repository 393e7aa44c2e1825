"""MONAI's FlexibleUNet: a 3D ResNet encoder and a decoder to full resolution.

With resnet101 it stands for the 3rd place of the CZII challenge (tangtang1999), a U-Net whose
encoder is larger than anybody else's; of its training nothing more is published.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from detector.probabilities import Probabilities
from detector.resnet_unet import resnet_unet

OUTPUT_STRIDE = 1


class FullFlexibleUNet(nn.Module):
    """See the module's docstring; the arguments are those of `build`."""

    def __init__(self, n_outputs: int, backbone: str, width: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = resnet_unet(backbone, width, channels)
        self.head = nn.Conv3d(channels[-1], n_outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, d, h, w) to (b, n, d, h, w)."""
        return self.head(self.decoder(self.encoder(x)))


def build(
    n_classes: int,
    backbone: str = "resnet101",
    width: int = 64,
    channels: Sequence[int] = (256, 128, 64, 32, 16),
    softmax: bool = False,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d, h, w); edges multiples of 32."""
    network = FullFlexibleUNet(n_classes + softmax, backbone, width, channels)
    return Probabilities(network) if softmax else network

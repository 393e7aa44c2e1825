"""MONAI's FlexibleUNet without its last level: class probabilities at half the resolution.

Source: CZII challenge, 1st place, segmentation (Henkel): the decoder's full-resolution level is
thrown away, and heads of 3x3x3 sit on the levels before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from detector.probabilities import Probabilities
from detector.resnet_unet import resnet_unet

OUTPUT_STRIDE = 2


class HalfFlexibleUNet(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    n_outputs
    backbone, width
        See :class:`detector.resnet_unet.ResNetEncoder`.
    channels
        Of the decoder's levels, coarsest first, five.
    auxiliary
        How many levels before the last kept one have a head in training, up to 3.
    """

    def __init__(
        self, n_outputs: int, backbone: str, width: int, channels: Sequence[int], auxiliary: int
    ) -> None:
        super().__init__()
        self.encoder, decoder = resnet_unet(backbone, width, channels)
        self.blocks = nn.ModuleList(decoder.blocks[:-1])
        if not 0 <= auxiliary < len(self.blocks):
            raise ValueError(
                f"Expected `auxiliary` from 0 to {len(self.blocks) - 1}, but got {auxiliary}."
            )
        kept = list(channels)[len(self.blocks) - 1 - auxiliary : len(self.blocks)]
        self.heads = nn.ModuleList(nn.Conv3d(c, n_outputs, 3, padding=1) for c in kept)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(b, 1, d, h, w) to (b, n, d/2, h/2, w/2), in training with the coarser ones after it."""
        *skips, x = self.encoder(x)
        levels = []
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(x, skip)
            levels.append(x)
        output = self.heads[-1](levels[-1])
        if not self.training or len(self.heads) == 1:
            return output
        coarser = zip(self.heads[:-1], levels[-len(self.heads) : -1], strict=True)
        return [output, *(head(level) for head, level in coarser)]


def build(
    n_classes: int,
    backbone: str = "resnet34",
    width: int = 64,
    channels: Sequence[int] = (256, 128, 64, 32, 16),
    auxiliary: int = 0,
    softmax: bool = False,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2); edges multiples of 32."""
    network = HalfFlexibleUNet(n_classes + softmax, backbone, width, channels, auxiliary)
    return Probabilities(network) if softmax else network

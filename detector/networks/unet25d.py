"""Any timm backbone with depth pooling and a 3D decoder; heatmaps at full resolution.

Two systems of the CZII challenge are settings of it. The public 2D-3D U-Net (hengck23): depth
halved after every stage, a decoder block per stage up to full resolution. The 4th place's (yu4u):
every slice with its two neighbours on either side, pooling by 4, 2, 2, 1, a wide decoder that ends
at a quarter of the resolution, and a head whose channels are shuffled into 4x4x4 blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from detector.decoder import Decoder, double_conv, shuffle_up
from detector.depth_pooling import DepthPooledFeatures, depth_pooled
from detector.probabilities import Probabilities

OUTPUT_STRIDE = 1


class DepthPooledUNet(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    encoder
    n_outputs
        Channels of the output.
    widths
        Of the decoder's blocks, coarsest first.
    skips
        Stages that the decoder sees, the deepest included; all others are left to the encoder.
    refine
        Pass each of these maps through two convolutions of its own width first.
    stride
        Voxels per cell of the output; what the decoder lacks is shuffled from channels.
    auxiliary
        How many of the decoder's blocks before the last have a head of their own in training.
    """

    def __init__(
        self,
        encoder: DepthPooledFeatures,
        n_outputs: int,
        widths: Sequence[int],
        skips: Sequence[int],
        refine: bool,
        stride: int,
        auxiliary: int,
    ) -> None:
        super().__init__()
        self.encoder, self.skips = encoder, tuple(skips)
        channels = [encoder.channels[i] for i in skips]
        reductions = [encoder.reductions[i] for i in skips]
        self.refine = nn.ModuleList(
            double_conv(c, c) if refine else nn.Identity() for c in channels
        )
        self.decoder = Decoder(channels, reductions, widths, finest=stride)
        z, y, x = (r // stride for r in self.decoder.reductions[-1])
        self.shuffle = (z, y, x)
        self.head = nn.Conv3d(widths[-1], n_outputs * math.prod(self.shuffle), 1)
        if not 0 <= auxiliary < len(widths):
            raise ValueError(f"Expected `auxiliary` below {len(widths)}, but got {auxiliary}.")
        self.auxiliary = nn.ModuleList(
            nn.Conv3d(w, n_outputs, 1) for w in widths[len(widths) - 1 - auxiliary : -1]
        )

    def forward(self, volume: Tensor) -> Tensor | list[Tensor]:
        """(b, 1, d, h, w) to (b, n, d/s, h/s, w/s), in training with the coarser ones after it."""
        features = self.encoder(volume)
        maps = [r(features[i]) for r, i in zip(self.refine, self.skips, strict=True)]
        decoded = self.decoder(maps)
        output = shuffle_up(self.head(decoded[-1]), self.shuffle)
        if not (self.training and len(self.auxiliary)):
            return output
        before = decoded[-1 - len(self.auxiliary) : -1]
        return [output, *(h(m) for h, m in zip(self.auxiliary, before, strict=True))]


def build_unet25d(
    n_classes: int,
    stride: int,
    backbone: str,
    depth_strides: Sequence[int],
    depth_kernels: Sequence[int] | None,
    context: int,
    widths: Sequence[int],
    skips: Sequence[int] | None,
    refine: bool,
    auxiliary: int,
    softmax: bool,
    pretrained: bool | str,
    backbone_params: Mapping[str, Any] | None,
) -> nn.Module:
    """Encoder, decoder and head; the arguments are those of the networks' `build`."""
    encoder = depth_pooled(
        backbone, context, depth_strides, depth_kernels, pretrained, backbone_params
    )
    stages = range(len(encoder.channels)) if skips is None else skips
    if not set(stages) <= set(range(len(encoder.channels))) or list(stages) != sorted(set(stages)):
        raise ValueError(
            f"Expected `skips` to be rising stages from 0 to {len(encoder.channels) - 1}, "
            f"but got {list(stages)}."
        )
    network = DepthPooledUNet(
        encoder, n_classes + softmax, widths, list(stages), refine, stride, auxiliary
    )
    return Probabilities(network) if softmax else network


def build(
    n_classes: int,
    backbone: str = "resnet34",
    depth_strides: Sequence[int] = (2, 2, 2, 2, 2),
    depth_kernels: Sequence[int] | None = None,
    context: int = 1,
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    skips: Sequence[int] | None = None,
    refine: bool = False,
    auxiliary: int = 0,
    softmax: bool = False,
    pretrained: bool | str = False,
    backbone_params: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d, h, w).

    Parameters
    ----------
    n_classes
    backbone, depth_strides, depth_kernels, context, pretrained, backbone_params
        See :func:`detector.depth_pooling.depth_pooled`.
    widths, skips, refine, auxiliary
        See :class:`DepthPooledUNet`; no skips: every stage.
    softmax
        Tell classes and background apart by a softmax.
    """
    return build_unet25d(
        n_classes, OUTPUT_STRIDE, backbone, depth_strides, depth_kernels, context, widths, skips,
        refine, auxiliary, softmax, pretrained, backbone_params,
    )  # fmt: skip

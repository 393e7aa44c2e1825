"""The parts of MONAI's FlexibleUNet with a 3D ResNet of any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monai.networks.nets.flexible_unet import UNetDecoder
from monai.networks.nets.resnet import ResNet, ResNetFeatures, resnet_params


class ResNetEncoder(ResNetFeatures):
    """MONAI's ResNet features, whose first stage may have another width than 64.

    Parameters
    ----------
    backbone
        resnet10, 18, 34, 50, 101, 152 or 200.
    width
        Channels of the stem and the first stage; every later stage doubles them.

    Attributes
    ----------
    channels : list of int
        Of the five maps, finest first.
    """

    def __init__(self, backbone: str, width: int) -> None:
        if backbone not in resnet_params:
            raise ValueError(
                f"Expected `backbone` to be one of {', '.join(resnet_params)}, but got {backbone}."
            )
        block, layers, shortcut, bias, _ = resnet_params[backbone]
        planes = [width * 2**i for i in range(4)]
        ResNet.__init__(
            self,
            block=block,
            layers=layers,
            block_inplanes=planes,
            spatial_dims=3,
            n_input_channels=1,
            conv1_t_stride=2,
            shortcut_type=shortcut,
            feed_forward=False,
            bias_downsample=bias,
        )
        first: Any = self.layer1[0]
        self.channels = [width, *(n * first.expansion for n in planes)]


def resnet_unet(
    backbone: str, width: int, channels: Sequence[int]
) -> tuple[ResNetEncoder, UNetDecoder]:
    """Encoder and decoder of FlexibleUNet with its default settings.

    Parameters
    ----------
    backbone, width
        See :class:`ResNetEncoder`.
    channels
        Of the decoder's five levels, coarsest first.

    Raises
    ------
    ValueError
        If there aren't five.
    """
    if len(channels) != 5:
        raise ValueError(f"Expected `channels` of 5 levels, but got {list(channels)}.")
    encoder = ResNetEncoder(backbone, width)
    decoder = UNetDecoder(
        spatial_dims=3,
        encoder_channels=(1, *encoder.channels),
        decoder_channels=tuple(channels),
        act=("relu", {"inplace": True}),
        norm=("batch", {"eps": 1e-3, "momentum": 0.1}),
        dropout=0.0,
        bias=False,
        upsample="nontrainable",
        pre_conv="default",
        interp_mode="nearest",
        align_corners=None,
        is_pad=False,
    )
    return encoder, decoder

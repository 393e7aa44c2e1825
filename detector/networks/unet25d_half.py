"""Any timm backbone with depth pooling and a 3D decoder; heatmaps at half the resolution.

The other half of the CZII challenge's 4th place (tattaka) is a setting of it: depth is halved once
and from then on only smoothed, the decoder leaves out the large maps of the stem and the first
stage, and its inner maps have heads of their own in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from detector.networks.unet25d import build_unet25d

OUTPUT_STRIDE = 2


def build(
    n_classes: int,
    backbone: str = "resnetrs50",
    depth_strides: Sequence[int] = (2, 1, 1, 1, 1),
    depth_kernels: Sequence[int] | None = (2, 1, 3, 3, 3),
    context: int = 1,
    widths: Sequence[int] = (256, 128, 64, 32),
    skips: Sequence[int] | None = (2, 3, 4),
    refine: bool = False,
    auxiliary: int = 0,
    softmax: bool = False,
    pretrained: bool | str = False,
    backbone_params: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d/2, h/2, w/2).

    The arguments are those of :func:`detector.networks.unet25d.build`.
    """
    return build_unet25d(
        n_classes, OUTPUT_STRIDE, backbone, depth_strides, depth_kernels, context, widths, skips,
        refine, auxiliary, softmax, pretrained, backbone_params,
    )  # fmt: skip

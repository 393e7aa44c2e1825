"""A 2D U-Net that marks particle centres on every xy slice, each slice for itself.

The candidates method `linked` joins what it marks on neighbouring slices into particles. It stands
for the public per-slice detectors of the CZII challenge, whose licence kept people from them: here
everything is our own or MONAI's.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import UNet
from torch import Tensor, nn

from detector.depth_pooling import OverSlices, neighbour_channels

OUTPUT_STRIDE = 1


class PerSlice(OverSlices):
    """A 2D network over every slice of a volume; slices of the whole batch run as one batch.

    Parameters
    ----------
    network
        (n, context, h, w) to (n, k, h, w).
    context
        Slices that each slice is shown with, as channels; odd.
    """

    def __init__(self, network: nn.Module, context: int) -> None:
        super().__init__()
        if context < 1 or context % 2 == 0:
            raise ValueError(f"Expected `context` to be odd and at least 1, but got {context}.")
        self.network, self.context = network, context

    def forward(self, volume: Tensor) -> Tensor:
        """(b, 1, d, h, w) to (b, k, d, h, w)."""
        slices = neighbour_channels(volume, self.context).transpose(1, 2).flatten(0, 1)
        return self.network(slices).unflatten(0, (-1, volume.shape[2])).transpose(1, 2)


def build(
    n_classes: int,
    channels: Sequence[int] = (32, 64, 128, 128),
    strides: Sequence[int] = (2, 2, 2),
    residual_units: int = 2,
    context: int = 1,
    norm: str = "BATCH",
) -> nn.Module:
    """The network: (b, 1, d, h, w) to (b, n_classes, d, h, w); h, w multiples of the strides."""
    network = UNet(
        spatial_dims=2,
        in_channels=context,
        out_channels=n_classes,
        channels=tuple(channels),
        strides=tuple(strides),
        num_res_units=residual_units,
        norm=norm,
        act="PRELU",
    )
    return PerSlice(network, context)

"""Several networks as one that answers their mean.

An ensemble that runs as one network shares one set of buffers, so its tiles can be larger, and
each tile is handed over once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

T = TypeVar("T")


class MeanNetwork(nn.Module):
    """The mean of what networks of one output stride say, taken in fp32.

    Parameters
    ----------
    members
        Each from (b, 1, d, h, w) to (b, k, d/s, h/s, w/s); at least one.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, d, h, w) to raw float32 heatmaps (b, k, d/s, h/s, w/s)."""
        total = self.members[0](x).float()
        for member in list(self.members)[1:]:
            total = total + member(x).float()
        return total / len(self.members)


class SeparateNetworks(nn.Module):
    """The same networks, each of which answers for itself: for backends that add in bf16.

    Parameters
    ----------
    members
        Of the mean.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(b, 1, d, h, w) to one raw heatmap (b, k, d/s, h/s, w/s) of each."""
        return tuple(member(x) for member in self.members)

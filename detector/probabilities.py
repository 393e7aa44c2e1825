"""Networks that tell classes apart by a softmax with a background, as a heatmap."""

from __future__ import annotations

from torch import Tensor, nn


class Probabilities(nn.Module):
    """Logits in training, for losses that want them; in evaluation, each class's probability.

    Channel 0 of the logits is the background, which the heatmap leaves out.

    Parameters
    ----------
    network
        (b, 1, d, h, w) to logits (b, 1 + k, ...); in training perhaps a list of them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.softmax = nn.Softmax(1)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(b, 1, d, h, w) to logits, or to a heatmap (b, k, ...) in [0, 1]."""
        output = self.network(x)
        if self.training:
            return output
        return self.softmax(output)[:, 1:]

"""Squared error that weighs particles more than background.

Source: the (t + 0.1) weight of the 4th place of the CZII challenge (yu4u), generalised.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def weighted_mse(output: Tensor, target: Tensor, positive: float, floor: float) -> Tensor:
    """Mean of ``(positive * target + floor) * (output - target)²``.

    Parameters
    ----------
    output : (b, k, d, h, w) tensor
        Raw heatmap, no sigmoid.
    target : tensor of the same shape, in [0, 1]
    positive
        Weight of a particle's centre above the background's.
    floor
        Weight of the background.
    """
    return ((positive * target + floor) * (output - target).square()).mean()


def build(positive: float = 20.0, floor: float = 0.2) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss with its weights set."""
    return lambda output, target: weighted_mse(output, target, positive, floor)

"""Squared error that weighs particles more than background.

Source: the (t + 0.1) weight of the 4th place of the CZII challenge (yu4u), generalised.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

OUTPUT = "heatmap"


def weighted_mse(
    output: Tensor, target: Tensor, positive: float, floor: float, annotated: Tensor | None = None
) -> Tensor:
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
    annotated : (b, k) tensor of 0 and 1, or None
        Classes that count; the mean is over their cells.
    """
    error = (positive * target + floor) * (output - target).square()
    if annotated is None:
        return error.mean()
    return (error.mean((2, 3, 4)) * annotated).sum() / annotated.sum().clamp(min=1)


def build(
    positive: float = 20.0, floor: float = 0.2
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with its weights set."""

    def loss(output: Tensor, target: Tensor, annotated: Tensor | None = None) -> Tensor:
        return weighted_mse(output, target, positive, floor, annotated)

    return loss

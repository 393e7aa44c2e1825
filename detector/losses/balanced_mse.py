"""Squared error in which particles and background weigh the same, however much there is of each.

The 4th place of the CZII challenge (tattaka) balanced positives and negatives of the squared error
in a way that is not published; this one is ours. A cell is a particle's to the degree that its
target says, so nothing hangs on a threshold.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

OUTPUT = "heatmap"


def balanced_mse(
    output: Tensor, target: Tensor, particles: float, annotated: Tensor | None = None
) -> Tensor:
    """Weighted mean of the error where particles are and of the error where none are.

    ``particles * sum(t e) / sum(t) + (1 - particles) * sum((1 - t) e) / sum(1 - t)`` with the
    squared error e and the target t; sums over the batch.

    Parameters
    ----------
    output, target : (b, k, d, h, w) tensors
        Raw heatmap; target in [0, 1].
    particles
        Share of the particles in the loss.
    annotated : (b, k) tensor of 0 and 1, or None
        Classes that count.
    """
    error = (output - target).square()
    known = 1 if annotated is None else annotated[:, :, None, None, None]
    present, absent = target * known, (1 - target) * known
    # One cell's worth at least: a batch without particles is no division by zero.
    of_particles = (present * error).sum() / present.sum().clamp(min=1)
    of_background = (absent * error).sum() / absent.sum().clamp(min=1)
    return particles * of_particles + (1 - particles) * of_background


def build(particles: float = 0.5) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with its balance set."""

    def loss(output: Tensor, target: Tensor, annotated: Tensor | None = None) -> Tensor:
        return balanced_mse(output, target, particles, annotated)

    return loss

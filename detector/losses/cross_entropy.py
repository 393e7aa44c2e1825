"""Cross-entropy over classes and background, each cell for itself, with weights.

Source: CZII challenge, 1st place, segmentation (Henkel): targets are probabilities, so they may be
mixed; a particle's cell weighs 256 or 64 times a background cell.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from detector.class_targets import with_background, without_unknown

OUTPUT = "probabilities"


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    particle: float,
    background: float,
    annotated: Tensor | None = None,
) -> Tensor:
    """Minus the sum over classes of ``weight * mean over cells of (t log softmax)``.

    Parameters
    ----------
    logits : (b, 1 + k, d, h, w) tensor
        Background first.
    target : (b, k, d, h, w) tensor in [0, 1]
        Without the background, which is what is left to 1.
    particle, background
        Weights of the classes and of the background.
    annotated : (b, k) tensor of 0 and 1, or None
        Classes that count.
    """
    wanted = with_background(target)
    logarithms = without_unknown(logits, annotated).float().log_softmax(1)
    per_class = -(wanted * logarithms).mean((2, 3, 4))
    particles = per_class[:, 1:] if annotated is None else per_class[:, 1:] * annotated
    return (background * per_class[:, 0] + particle * particles.sum(1)).mean()


def build(
    particle: float = 64.0, background: float = 1.0
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with its weights set."""

    def loss(output: Tensor, target: Tensor, annotated: Tensor | None = None) -> Tensor:
        return cross_entropy(output, target, particle, background, annotated)

    return loss

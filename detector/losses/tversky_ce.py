"""Tversky loss and cross-entropy together, over classes and background.

Source: CZII challenge, 2nd place (Wang): Tversky with 0.3 for false positives and 0.7 for false
negatives, plus cross-entropy.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from detector.class_targets import with_background, without_unknown
from detector.losses.cross_entropy import cross_entropy

OUTPUT = "probabilities"
_SMOOTH = 1.0
"""Cells; a class that is neither there nor seen costs nothing."""


def tversky(
    logits: Tensor, target: Tensor, alpha: float, beta: float, annotated: Tensor | None = None
) -> Tensor:
    """One minus ``TP / (TP + alpha FP + beta FN)``, mean over classes and background.

    Sums are over the cells of the whole batch, in which a class may be missing from a sample.

    Parameters
    ----------
    logits : (b, 1 + k, d, h, w) tensor
        Background first.
    target : (b, k, d, h, w) tensor in [0, 1]
    alpha, beta
        Weights of false positives and of false negatives.
    annotated : (b, k) tensor of 0 and 1, or None
        Classes that count.
    """
    wanted = with_background(target)
    found = without_unknown(logits, annotated).float().softmax(1)
    if annotated is not None:
        known = annotated[:, :, None, None, None]
        wanted = wanted.clone()
        wanted[:, 1:] = wanted[:, 1:] * known
    axes = (0, 2, 3, 4)
    hit = (wanted * found).sum(axes)
    false, missed = ((1 - wanted) * found).sum(axes), (wanted * (1 - found)).sum(axes)
    return (1 - (hit + _SMOOTH) / (hit + alpha * false + beta * missed + _SMOOTH)).mean()


def build(
    alpha: float = 0.3, beta: float = 0.7, particle: float = 1.0, background: float = 1.0
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss: :func:`tversky` with alpha and beta plus cross-entropy with the other two."""

    def loss(output: Tensor, target: Tensor, annotated: Tensor | None = None) -> Tensor:
        return tversky(output, target, alpha, beta, annotated) + cross_entropy(
            output, target, particle, background, annotated
        )

    return loss

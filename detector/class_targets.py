"""Heatmap targets as probabilities of classes and background, for losses over a softmax."""

from __future__ import annotations

import torch
from torch import Tensor


def with_background(target: Tensor) -> Tensor:
    """Targets with the background before them, so that each cell sums to 1.

    Parameters
    ----------
    target : (b, k, d, h, w) tensor in [0, 1]
        Mixed targets may be below 1; where classes share a cell they share its probability.

    Returns
    -------
    (b, 1 + k, d, h, w) tensor
    """
    total = target.sum(1, keepdim=True)
    return torch.cat([(1 - total).clamp(min=0), target / total.clamp(min=1)], 1)


def without_unknown(logits: Tensor, annotated: Tensor | None) -> Tensor:
    """Logits among which a class that a sample knows nothing of takes no part.

    Parameters
    ----------
    logits : (b, 1 + k, d, h, w) tensor
        Background first.
    annotated : (b, k) tensor of 0 and 1, or None

    Returns
    -------
    tensor of the same shape
        Far below all others where unknown.
    """
    if annotated is None:
        return logits
    known = torch.cat([torch.ones_like(annotated[:, :1]), annotated], 1)[:, :, None, None, None]
    return torch.where(known > 0, logits, torch.full_like(logits, -1e4))

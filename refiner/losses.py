"""Loss of the refiner: which class, and where its centre is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def refiner_loss(
    logits: Tensor,
    offsets: Tensor,
    label: Tensor,
    target_offsets: Tensor,
    *,
    offset_weight: float,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """Cross-entropy over classes and none, plus a Huber loss on the offsets of particles.

    Parameters
    ----------
    logits : (b, k + 1) tensor
    offsets, target_offsets : (b, 3) tensors
        In one unit, zyx.
    label : (b,) int tensor, k for none
    offset_weight
    label_smoothing
    """
    classification = F.cross_entropy(logits, label, label_smoothing=label_smoothing)
    present = label < logits.shape[1] - 1
    distance = F.smooth_l1_loss(offsets, target_offsets, reduction="none").sum(1)
    location = (distance * present).sum() / present.sum().clamp(min=1)
    return {
        "loss": classification + offset_weight * location,
        "classification": classification,
        "location": location,
    }


def mixed(batch: dict[str, Tensor], share: float) -> tuple[dict[str, Tensor], Tensor]:
    """Mix each sample with the one beside it: inputs now, losses by the caller.

    Parameters
    ----------
    batch
        Tensors with the samples first.
    share
        Weight of the sample itself, in [0, 1].

    Returns
    -------
    inputs : dict
        patch, heatmap and stage1, mixed.
    order : (b,) int tensor
        Which sample each one was mixed with.
    """
    order = torch.roll(torch.arange(len(batch["label"]), device=batch["label"].device), 1)
    names = ("patch", "heatmap", "stage1")
    return {n: share * batch[n] + (1 - share) * batch[n][order] for n in names}, order

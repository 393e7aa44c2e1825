"""Loss of the refiner: which class, and where its centre is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LOSSES = ("cross_entropy", "focal", "balanced", "fbeta")


def refiner_loss(
    logits: Tensor,
    offsets: Tensor,
    label: Tensor,
    target_offsets: Tensor,
    *,
    offset_weight: float,
    label_smoothing: float = 0.0,
    kind: str = "cross_entropy",
    class_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """A loss over classes and none, plus a Huber loss on the offsets of particles.

    Parameters
    ----------
    logits : (b, k + 1) tensor
    offsets, target_offsets : (b, 3) tensors
        In one unit, zyx.
    label : (b,) int tensor, k for none
    offset_weight
    label_smoothing
        Of the cross-entropy, not of `focal`.
    kind
        cross_entropy; focal (T.-Y. Lin and others, https://arxiv.org/abs/1708.02002, gamma 2);
        balanced, cross-entropy weighed by `class_weights`; fbeta, cross-entropy and half of
        :func:`soft_fbeta_loss`.
    class_weights : (k + 1,) tensor
        For `balanced`.

    Raises
    ------
    ValueError
        If `kind` is no such name, or `balanced` comes without weights.
    """
    if kind not in LOSSES or (kind == "balanced" and class_weights is None):
        raise ValueError(
            f"Expected argument `kind` to be one of {', '.join(LOSSES)}, and balanced with "
            f"`class_weights`, but got {kind!r}."
        )
    if kind == "focal":
        classification = focal_loss(logits, label)
    else:
        classification = F.cross_entropy(
            logits,
            label,
            weight=class_weights if kind == "balanced" else None,
            label_smoothing=label_smoothing,
        )
    if kind == "fbeta":
        classification = classification + 0.5 * soft_fbeta_loss(logits, label)
    present = label < logits.shape[1] - 1
    distance = F.smooth_l1_loss(offsets, target_offsets, reduction="none").sum(1)
    location = (distance * present).sum() / present.sum().clamp(min=1)
    return {
        "loss": classification + offset_weight * location,
        "classification": classification,
        "location": location,
    }


def focal_loss(logits: Tensor, label: Tensor, gamma: float = 2.0) -> Tensor:
    """Cross-entropy in which a sample counts the less the surer it is right, mean of (b,)."""
    log_p = F.log_softmax(logits, 1).gather(1, label[:, None])[:, 0]
    return -((1 - log_p.exp()) ** gamma * log_p).mean()


def soft_fbeta_loss(logits: Tensor, label: Tensor, beta: float = 4.0) -> Tensor:
    """1 minus F-beta from probabilities instead of counts, mean over the batch's classes."""
    k = logits.shape[1] - 1
    p = logits.softmax(1)[:, :k]
    is_class = F.one_hot(label, k + 1)[:, :k].to(p.dtype)
    found, wanted = (p * is_class).sum(0), is_class.sum(0)
    f = (1 + beta**2) * found / (beta**2 * wanted + p.sum(0)).clamp(min=1e-6)
    there = wanted > 0
    return (1 - f[there]).sum() / there.sum().clamp(min=1)


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

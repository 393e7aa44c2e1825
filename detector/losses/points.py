"""Losses of an anchor-free point detector: which cells answer for a particle, and how well.

Source: CZII challenge, 1st place, detection (Khvedchenya): task-aligned assignment with score¹ and
OKS⁶, the best 13 cells of each particle with an OKS of at least 0.05; varifocal loss (alpha 0.75,
gamma 2), cross-entropy, and 1 - OKS of the assigned cells, each over the sum of assigned scores.
OKS, the likeness of two points, is ``exp(-d² / 2 r²)`` with the particle's radius r.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

OUTPUT = "points"


class Assignment(NamedTuple):
    """Which cells answer for which particle.

    Attributes
    ----------
    cells : (m,) int tensor
        Flat indices of assigned cells.
    particles : (m,) int tensor
        Row of the particle of each.
    scores : (k, n) tensor in [0, 1]
        Score that each class should have at each of all n cells; 0 where nothing is assigned.
    """

    cells: Tensor
    particles: Tensor
    scores: Tensor


def likeness(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """OKS of every point with every centre: ``exp(-sum((p - c)² / r²) / 2)``.

    Parameters
    ----------
    points : (n, 3) tensor
    centres, radii : (m, 3) tensors
        In the unit of the points, per axis.

    Returns
    -------
    (m, n) tensor in [0, 1]
    """
    far = ((points[None] - centres[:, None]) / radii[:, None]).square().sum(2)
    return torch.exp(-0.5 * far)


@torch.no_grad()
def assign(
    scores: Tensor, points: Tensor, particles: Tensor, top: int, least: float, power: float
) -> Assignment:
    """Task-aligned assignment: the cells that score and lie best answer for a particle.

    Of each particle the `top` cells by ``score * OKS**power`` are taken whose OKS is at least
    `least`; a cell that two particles want goes to the one that it is more like. A cell's wanted
    score is its alignment, scaled so that a particle's best cell gets that particle's best OKS.

    Parameters
    ----------
    scores : (k, n) tensor in [0, 1]
        Of the network.
    points : (n, 3) tensor, cells
        Where the network says that the particle is: cell plus offset.
    particles : (m, 7) tensor
        Centre z, y, x, class, radius z, y, x; in cells.
    top, least, power
        See above.
    """
    wanted = torch.zeros_like(scores)
    labels = particles[:, 3].long()
    alike = likeness(points, particles[:, :3], particles[:, 4:])
    aligned = scores[labels] * alike.pow(power)
    aligned = torch.where(alike >= least, aligned, torch.zeros_like(aligned))
    best, cells = aligned.topk(min(top, aligned.shape[1]), 1)
    taken = torch.zeros_like(aligned).scatter_(1, cells, (best > 0).to(aligned.dtype))
    rows = torch.where(taken > 0, alike, torch.full_like(alike, -1.0)).argmax(0)
    cell = torch.nonzero(taken.any(0)).squeeze(1)
    row = rows[cell]
    kept = torch.zeros_like(aligned)
    kept[row, cell] = aligned[row, cell]
    own = torch.zeros_like(alike)
    own[row, cell] = alike[row, cell]
    scale = own.amax(1) / kept.amax(1).clamp(min=1e-12)
    wanted[labels[row], cell] = kept[row, cell] * scale[row]
    return Assignment(cell, row, wanted)


def varifocal(logits: Tensor, wanted: Tensor, alpha: float, gamma: float) -> Tensor:
    """Sum of cross-entropies, positives weighted with what is wanted of them.

    An empty cell weighs ``alpha * score**gamma``. Source: Zhang et al., VarifocalNet, 2021.

    Parameters
    ----------
    logits, wanted : tensors of one shape
        Wanted scores in [0, 1].
    alpha, gamma
    """
    empty = alpha * logits.detach().sigmoid().pow(gamma)
    weight = torch.where(wanted > 0, wanted, empty)
    return (weight * binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum()


def points_loss(
    output: Tensor,
    target: Tensor,
    annotated: Tensor | None = None,
    *,
    top: int,
    least: float,
    power: float,
    alpha: float,
    gamma: float,
    entropy: float,
) -> Tensor:
    """Varifocal loss, cross-entropy and 1 - OKS over the sum of assigned scores.

    Parameters
    ----------
    output : (b, k + 3, d, h, w) tensor
        Logits, then offsets in cells.
    target : (b, m, 7) tensor
        See :func:`detector.targets.points_target`; rows of class -1 are empty.
    annotated : (b, k) tensor of 0 and 1, or None
        Classes that count.
    top, least, power
        See :func:`assign`.
    alpha, gamma
        See :func:`varifocal`.
    entropy
        Weight of the cross-entropy.
    """
    output = output.float()
    grid = cell_grid(output.shape[2:], output.device)
    classes = off = torch.zeros((), device=output.device)
    total = torch.zeros((), device=output.device)
    for i, (sample, particles) in enumerate(zip(output.flatten(2), target, strict=True)):
        known: Any = slice(None) if annotated is None else annotated[i] > 0
        logits, points = sample[:-3], grid + sample[-3:].T
        own = particles[particles[:, 3] >= 0]
        if len(own):
            found = assign(logits.detach().sigmoid(), points.detach(), own, top, least, power)
            wanted = found.scores
            chosen = own[found.particles]
            at = points[found.cells]
            far = ((at - chosen[:, :3]) / chosen[:, 4:]).square().sum(1)
            weight = wanted[chosen[:, 3].long(), found.cells]
            off = off + (weight * (1 - torch.exp(-0.5 * far))).sum()
            total = total + wanted[known].sum()
        else:
            wanted = torch.zeros_like(logits)
        classes = classes + varifocal(logits[known], wanted[known], alpha, gamma)
        if entropy:
            classes = classes + entropy * binary_cross_entropy_with_logits(
                logits[known], wanted[known], reduction="sum"
            )
    return (classes + off) / total.clamp(min=1)


def cell_grid(shape: torch.Size | tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """(d h w, 3) indices z, y, x of the cells of a volume, in flat order."""
    axes = [torch.arange(n, device=device, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def build(
    top: int = 13,
    least: float = 0.05,
    power: float = 6.0,
    alpha: float = 0.75,
    gamma: float = 2.0,
    entropy: float = 1.0,
) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The loss with its constants set; see :func:`points_loss`."""

    def loss(output: Tensor, target: Tensor, annotated: Tensor | None = None) -> Tensor:
        return points_loss(
            output, target, annotated,
            top=top, least=least, power=power, alpha=alpha, gamma=gamma, entropy=entropy,
        )  # fmt: skip

    return loss

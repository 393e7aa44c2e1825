"""Candidates in, candidates with stage-2 probabilities and refined positions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryo_pick.candidates import Candidates
from cryo_pick.coordinates import Vector, angstrom_to_index, index_to_angstrom
from refiner.networks.patch_net import OFFSET_UNIT
from refiner.patches import cut_patches, patch_starts

# One view: as it is. Two: and turned about z by half a turn. Four: and about y and x. Eight: all
# mirrors. Each keeps the missing wedge where it is.
_VIEWS: dict[int, list[tuple[bool, ...]]] = {
    1: [(False, False, False)],
    2: [(False, False, False), (False, True, True)],
    4: [(False, False, False), (False, True, True), (True, False, True), (True, True, False)],
    8: list(product((False, True), repeat=3)),
}


def score_candidates(
    candidates: Candidates,
    volume: NDArray[np.float32],
    heatmap: NDArray[np.floating],
    stride: int,
    voxel_spacing: Vector,
    origin: Vector,
    members: Sequence[nn.Module],
    *,
    patch: int,
    views: int,
    batch_size: int,
    device: torch.device,
    on_batch: Callable[[int], None] | None = None,
) -> Candidates:
    """Run the refiner over every candidate and average over members and views.

    Parameters
    ----------
    candidates
    volume : (d, h, w) float32 array, normalised
    heatmap : (k, d/s, h/s, w/s) array
    stride
        Voxels per heatmap cell.
    voxel_spacing, origin : Å, zyx
    members
        Trained patch networks, on `device`.
    patch
        Edge in voxels.
    views
        1, 2, 4 or 8 mirrored copies of each patch.
    batch_size
    device
    on_batch
        Told how many candidates were done.

    Raises
    ------
    ValueError
        If `views` is not one of the four numbers, there is no member, or the stride doesn't divide
        the patch.
    """
    if views not in _VIEWS:
        raise ValueError(f"Expected argument `views` to be 1, 2, 4 or 8, but got {views}.")
    if not members:
        raise ValueError("Expected argument `members` to hold at least one network, but got none.")
    if patch % stride:
        raise ValueError(f"Expected `patch` in multiples of {stride} voxels, but got {patch}.")
    n, k = len(candidates), candidates.n_classes
    probabilities = np.zeros((n, k + 1), np.float32)
    refined = np.zeros((n, 3), np.float64)
    for first in range(0, n, batch_size):
        part = slice(first, min(first + batch_size, n))
        centres = angstrom_to_index(candidates.positions[part], voxel_spacing, origin)
        starts = patch_starts(centres, patch, stride)
        inputs = (
            cut_patches(volume, starts, patch)[:, None],
            cut_patches(heatmap, starts // stride, patch // stride),
            candidates.stage1[part],
        )
        probability, offset = _average(inputs, members, views, device)
        middle = index_to_angstrom(starts + (patch - 1) / 2, voxel_spacing, origin)
        probabilities[part] = probability
        refined[part] = middle + offset
        if on_batch:
            on_batch(part.stop - part.start)
    return Candidates(candidates.positions, candidates.stage1, probabilities, refined)


@torch.inference_mode()
def _average(
    inputs: tuple[NDArray[np.float32], ...],
    members: Sequence[nn.Module],
    views: int,
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Mean probabilities (b, k + 1) and mean offsets (b, 3) in Å, zyx."""
    patch, heatmap, stage1 = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in inputs)
    total_p = torch.zeros(len(stage1), stage1.shape[1] + 1, device=device)
    total_o = torch.zeros(len(stage1), 3, device=device)
    for mirror in _VIEWS[views]:
        axes = [a - 3 for a in range(3) if mirror[a]]
        sign = torch.tensor([-1.0 if m else 1.0 for m in mirror], device=device)
        x, h = _mirrored(patch, axes), _mirrored(heatmap, axes)
        for member in members:
            logits, offset = member(x, h, stage1)
            total_p += torch.softmax(logits.float(), 1)
            total_o += offset.float() * sign * OFFSET_UNIT
    count = len(members) * views
    return (total_p / count).cpu().numpy(), (total_o / count).cpu().numpy().astype(np.float64)


def _mirrored(x: Tensor, axes: list[int]) -> Tensor:
    """A batch mirrored along some axes, channels last."""
    return torch.flip(x, axes).contiguous(memory_format=torch.channels_last_3d)

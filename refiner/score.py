"""Candidates in, candidates with stage-2 probabilities and refined positions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from cryo_pick.candidates import Candidates
from cryo_pick.coordinates import Vector, angstrom_to_index, index_to_angstrom
from cryo_pick.normalized import is_in_memory
from refiner.blocks import BlockReader, block_edges, block_order
from refiner.engine import OFFSET_UNIT, Inputs, PatchEngine
from refiner.patches import cut_patches, patch_starts

BLOCK_MEMORY = 256 * 2**20
"""Bytes that blocks of a volume and its heatmap may take while patches are cut from them."""

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
    volume: Any,
    heatmap: Any,
    stride: int,
    voxel_spacing: Vector,
    origin: Vector,
    members: Sequence[PatchEngine],
    *,
    patch: int,
    views: int,
    batch_size: int,
    on_batch: Callable[[int], None] | None = None,
    memory: float = BLOCK_MEMORY,
) -> Candidates:
    """Run the refiner over every candidate and average over members and views.

    Candidates are visited block by block of the volume, so that a volume on disk is read once and
    never whole, and one in memory is not copied; a second thread cuts the patches of one batch
    while the networks see the one before.

    Parameters
    ----------
    candidates
    volume : (d, h, w) array, normalised
        Anything that slices like one.
    heatmap : (k, d/s, h/s, w/s) array
        Anything that slices like one.
    stride
        Voxels per heatmap cell.
    voxel_spacing, origin : Å, zyx
    members
        Trained patch networks, ready to run.
    patch
        Edge in voxels.
    views
        1, 2, 4 or 8 mirrored copies of each patch.
    batch_size
    on_batch
        Told how many candidates were done.
    memory
        Bytes that the blocks read at once may take.

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
    centres = angstrom_to_index(candidates.positions, voxel_spacing, origin)
    starts = patch_starts(centres, patch, stride)
    for part, inputs in _batches(
        volume, heatmap, candidates.stage1, starts, stride, patch, batch_size, memory
    ):
        probability, offset = _average(inputs, members, views)
        middle = index_to_angstrom(starts[part] + (patch - 1) / 2, voxel_spacing, origin)
        probabilities[part] = probability
        refined[part] = middle + offset
        if on_batch:
            on_batch(len(part))
    return Candidates(candidates.positions, candidates.stage1, probabilities, refined)


def _batches(
    volume: Any,
    heatmap: Any,
    stage1: NDArray[np.float32],
    starts: NDArray[np.int64],
    stride: int,
    patch: int,
    batch_size: int,
    memory: float,
) -> Iterator[tuple[NDArray[np.int64], Inputs]]:
    """Which candidates, and what the networks are to see of them; the next is cut meanwhile."""
    k = stage1.shape[1]
    # The volume as stored and normalised; the heatmap as stored and as a copy.
    bytes_per_voxel = 9 + 4 * k / stride**3
    d, h, w = volume.shape
    edges = block_edges((d, h, w), patch, memory, bytes_per_voxel)
    edges = -(-edges // stride) * stride
    voxels = _cutter(volume, edges, patch)
    cells = _cutter(heatmap, edges // stride, patch // stride)
    order = block_order(starts, edges)

    def cut(part: NDArray[np.int64]) -> tuple[NDArray[np.int64], Inputs]:
        at = starts[part]
        return part, (voxels(at)[:, None], cells(at // stride), stage1[part])

    cuts = [*range(0, len(order), batch_size), len(order)]
    parts = [order[a:b] for a, b in pairwise(cuts) if b > a]
    with ThreadPoolExecutor(1, "cut-patches") as cutter:
        coming = cutter.submit(cut, parts[0]) if parts else None
        for following in [*parts[1:], None]:
            if coming is None:
                return
            batch = coming.result()
            coming = cutter.submit(cut, following) if following is not None else None
            yield batch


def _cutter(
    volume: Any, edges: NDArray[np.int64], size: int
) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """From starts to patches: straight from memory, or block by block from what is slow to read."""
    if is_in_memory(volume):
        return lambda starts: cut_patches(volume, starts, size)
    return BlockReader(volume, edges, size).cut


def _average(
    inputs: Inputs, members: Sequence[PatchEngine], views: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Mean probabilities (b, k + 1) and mean offsets (b, 3) in Å, zyx."""
    patch, heatmap, stage1 = inputs
    total_p = np.zeros((len(stage1), stage1.shape[1] + 1), np.float32)
    total_o = np.zeros((len(stage1), 3), np.float64)
    for mirror in _VIEWS[views]:
        axes = tuple(a - 3 for a in range(3) if mirror[a])
        sign = np.where(mirror, -1.0, 1.0)
        seen = (
            np.ascontiguousarray(np.flip(patch, axes)),
            np.ascontiguousarray(np.flip(heatmap, axes)),
            stage1,
        )
        for member in members:
            logits, offset = member(seen)
            total_p += softmax(logits, axis=1)
            total_o += offset * sign * OFFSET_UNIT
    count = len(members) * views
    return (total_p / count).astype(np.float32), total_o / count

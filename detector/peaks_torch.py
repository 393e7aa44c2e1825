"""Local maxima by separable max pooling, for a GPU: the same peaks as :mod:`detector.peaks`.

Three pools, along x, y and z, each remember where their maximum was first met. Followed back from
the last, they name the first of the greatest voxels of the whole cube in flat order; a voxel is a
peak iff that is itself. So plateaus are resolved by the same rule, without a second look.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import max_pool3d

from detector.peaks import Peaks, refine_peaks


def find_peaks_on(
    device: torch.device,
    values: NDArray[np.floating],
    thresholds: ArrayLike,
    kernel: int,
    planes: tuple[int, int] | None = None,
) -> Peaks:
    """Local maxima of every class, searched on `device`; see :func:`detector.peaks.find_peaks`.

    Parameters
    ----------
    device
    values : (k, d, h, w) float array
        Finite.
    thresholds : (k,) array or one number
        A peak's value is at least its class's.
    kernel
        Edge of the cube in which a peak is the maximum, in voxels; odd, at least 3.
    planes
        First plane, and the one after the last, whose peaks are given; None: all.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    limits = np.broadcast_to(np.asarray(thresholds, np.float32), (len(values),))
    first, stop = planes or (0, values.shape[1])
    parts = []
    for index, limit in enumerate(limits.tolist()):
        volume = np.ascontiguousarray(values[index], np.float32)
        on_device = torch.from_numpy(volume).to(device)
        if not bool(torch.isfinite(on_device).all()):
            raise ValueError("Expected `values` to be finite, but got NaN or infinity.")
        own = torch.arange(on_device.numel(), device=device).view_as(on_device)
        found = (_first_of_cube(on_device, kernel) == own) & (on_device >= limit)
        place = torch.nonzero(found).cpu().numpy()
        place = place[(place[:, 0] >= first) & (place[:, 0] < stop)]
        scores = volume[tuple(place.T)]
        parts.append((np.full(len(place), index), refine_peaks(volume, place), scores))
    if not parts:
        return Peaks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0, np.float32))
    classes, positions, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Peaks(classes.astype(np.int64), positions, scores)


def _first_of_cube(volume: Tensor, kernel: int) -> Tensor:
    """Flat index of the greatest voxel in the cube around each voxel, the first of equals."""
    top = volume[None]
    where = torch.arange(volume.numel(), device=volume.device)
    for axis in (2, 1, 0):  # x first, so that of equal rows and planes the first decides
        edge = [kernel if a == axis else 1 for a in range(3)]
        around = [e // 2 for e in edge]
        top, index = max_pool3d(top, edge, 1, around, return_indices=True)
        where = where[index.flatten()]
    return where.view_as(volume)

"""Picks to heatmap: what the detector learns to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.settings import TargetSettings


def target_sigmas(radii: NDArray[np.float64], settings: TargetSettings) -> NDArray[np.float64]:
    """Width of the Gaussian of each class.

    Parameters
    ----------
    radii : (k,) array, Å
    settings
        A fixed sigma, or a share of the radius between two limits.

    Returns
    -------
    (k,) array, Å
    """
    if settings.sigma is not None:
        return np.full(len(radii), settings.sigma)
    return np.clip(settings.sigma_per_radius * radii, settings.sigma_min, settings.sigma_max)


def gaussian_target(
    shape: tuple[int, int, int],
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    sigmas: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """Heatmap with a Gaussian of peak 1 at every centre; where two overlap, the larger value.

    Parameters
    ----------
    shape : (d, h, w), cells of the heatmap
    centres : (n, 3) array, fractional cells, zyx
        May lie outside; what reaches in is drawn.
    classes : (n,) int array
    sigmas : (k, 3) array, cells, per class and axis
    n_classes

    Returns
    -------
    (k, d, h, w) float32 array in [0, 1]
    """
    heatmap = np.zeros((n_classes, *shape), np.float32)
    for centre, label in zip(centres, classes, strict=True):
        sigma = sigmas[label]
        # 4 sigma reaches down to 0.0003, where the Gaussian no longer matters to the loss.
        low = np.maximum(np.ceil(centre - 4 * sigma).astype(int), 0)
        high = np.minimum(np.floor(centre + 4 * sigma).astype(int) + 1, shape)
        if (high <= low).any():
            continue
        z, y, x = (
            np.exp(-0.5 * ((np.arange(low[a], high[a]) - centre[a]) / sigma[a]) ** 2).astype(
                np.float32
            )
            for a in range(3)
        )
        box = heatmap[label, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        np.maximum(box, z[:, None, None] * y[None, :, None] * x[None, None, :], out=box)
    return heatmap

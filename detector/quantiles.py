"""Quantile tables, by which the scores of different detectors become comparable.

A detector trained with cross-entropy and one trained with squared errors mean different things by
0.3. Each member of an ensemble has a table of the quantiles of its scores, per class, fitted once
on out-of-fold heatmaps. A score is replaced by the reference's score of the same rank, so
thresholds that hold for the reference hold for the ensemble. A member's table knows of no other
member, so members come and go without touching the rest. Source of the idea: the 1st place of the
CZII challenge, which sorted both volumes; a table doesn't depend on how much a volume holds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

LEVELS: NDArray[np.float64] = np.concatenate(
    [np.linspace(0, 0.98, 50), 1 - np.geomspace(1e-2, 1e-6, 149), [1.0]]
)
"""Ranks at which a table has its quantiles: dense near 1, where the particles are."""

_MOST_VALUES = 4_000_000


def fit_table(heatmaps: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Quantiles of all scores of a detector, each class for itself.

    Parameters
    ----------
    heatmaps : (k, d, h, w) arrays
        Of runs that the detector never saw. Of large ones only every so many cells are looked at.

    Returns
    -------
    (k, n) float64 array
        Rising, at the ranks of :data:`LEVELS`.

    Raises
    ------
    ValueError
        If there is no heatmap.
    """
    parts = [np.asarray(h).reshape(len(h), -1) for h in heatmaps]
    if not parts:
        raise ValueError("Expected at least one heatmap, but got none.")
    step = max(1, sum(p.shape[1] for p in parts) // _MOST_VALUES)
    values = np.concatenate([p[:, ::step] for p in parts], 1).astype(np.float64)
    return np.quantile(values, LEVELS, axis=1).T


def match_scores(
    values: NDArray[np.floating], table: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Each score replaced by the reference's score of the same rank.

    Below the table's lowest and above its highest score, the reference's lowest and highest.

    Parameters
    ----------
    values : (k, ...) array
    table, reference : (k, n) arrays
        See :func:`fit_table`.

    Returns
    -------
    (k, ...) float32 array
        Never falling where the values rise.

    Raises
    ------
    ValueError
        If the tables aren't for as many classes, or not of one size.
    """
    if table.shape != reference.shape or len(table) != len(values):
        raise ValueError(
            f"Expected tables of one shape for {len(values)} classes, "
            f"but got {table.shape} and {reference.shape}."
        )
    out = np.empty(values.shape, np.float32)
    for channel, own, other, target in zip(values, table, reference, out, strict=True):
        # Of scores that fill many ranks, such as 0, the lowest rank counts.
        distinct, first = np.unique(own, return_index=True)
        target[...] = np.interp(channel, distinct, other[first])
    return out

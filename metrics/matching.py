"""Which picks hit which true particles.

Two rules stand side by side. The official one of the CZII challenge counts true particles that
have any pick within reach. The one-to-one rule lets a pick and a particle meet at most once. Both
take a distance equal to the match radius as a hit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped, unused-ignore]
from scipy.sparse.csgraph import (  # type: ignore[import-untyped, unused-ignore]
    min_weight_full_bipartite_matching,
)
from scipy.spatial import KDTree  # type: ignore[import-untyped, unused-ignore]

from cryo_pick.objects import ParticleTypes
from metrics.counts import Counts

Float = NDArray[np.float64]
Index = NDArray[np.int64]

HIT_SHARE = 0.5
"""A pick is a hit within this share of the particle's radius (CZII challenge)."""


def match_radii(types: ParticleTypes) -> Float:
    """(k,) largest distance of a hit for each class, Å."""
    return HIT_SHARE * types.radii


def pairs_within(picks: Float, truth: Float, match_radius: float) -> tuple[Index, Index, Float]:
    """Every pair of a pick and a true particle within reach of each other.

    Parameters
    ----------
    picks : (n, 3) array, Å
    truth : (m, 3) array, Å
    match_radius
        Å; a distance equal to it counts.

    Returns
    -------
    pick_index, truth_index : (p,) int64 arrays
    distance : (p,) float64 array, Å

    Raises
    ------
    ValueError
        If `picks` or `truth` is not (n, 3), or `match_radius` is not above 0.
    """
    for name, points in (("picks", picks), ("truth", truth)):
        if np.ndim(points) != 2 or np.shape(points)[1] != 3:
            raise ValueError(
                f"Expected argument `{name}` to be (n, 3), but got shape {np.shape(points)}."
            )
    if not match_radius > 0:
        raise ValueError(f"Expected argument `match_radius` to be above 0, but got {match_radius}.")
    if len(picks) == 0 or len(truth) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    # Median splits cost more than they save: the tree is asked once, by few particles.
    tree = KDTree(picks, compact_nodes=False, balanced_tree=False)
    # The tree's own bound may round a pair at exactly the radius away; so ask for a little more.
    found = KDTree(truth).sparse_distance_matrix(
        tree, match_radius * (1 + 1e-9), output_type="ndarray"
    )
    near = found[found["v"] <= match_radius]
    return near["j"].astype(np.int64), near["i"].astype(np.int64), near["v"].astype(np.float64)


def count_official(picks: Float, truth: Float, match_radius: float) -> Counts:
    """Counts of one class in one run, by the rule of the CZII challenge.

    A true particle is hit if any pick lies within reach; every pick that is not needed to reach the
    number of hits is false: ``fp = n_picks - tp``. A second pick on a particle is thus false, and
    one pick within reach of two particles counts twice, which leaves ``fp = -1``.

    Parameters
    ----------
    picks : (n, 3) array, Å
    truth : (m, 3) array, Å
    match_radius
        Å, inclusive.
    """
    _, hit, _ = pairs_within(picks, truth, match_radius)
    tp = len(np.unique(hit))
    return Counts(tp, len(picks) - tp, len(truth) - tp)


def best_hits(picks: Float, truth: Float, match_radius: float, scores: Float) -> Float:
    """Highest score among the picks that hit each true particle.

    Parameters
    ----------
    picks : (n, 3) array, Å
    truth : (m, 3) array, Å
    match_radius
        Å, inclusive.
    scores : (n,) array

    Returns
    -------
    (m,) float64 array
        -inf for a particle that no pick hits.

    Raises
    ------
    ValueError
        If there isn't one score per pick.
    """
    if np.shape(scores) != (len(picks),):
        raise ValueError(
            f"Expected argument `scores` to be ({len(picks)},), but got shape {np.shape(scores)}."
        )
    best = np.full(len(truth), -np.inf)
    pick, hit, _ = pairs_within(picks, truth, match_radius)
    np.maximum.at(best, hit, np.asarray(scores, np.float64)[pick])
    return best


def match_one_to_one(picks: Float, truth: Float, match_radius: float) -> tuple[Index, Index]:
    """Pair picks with true particles, each at most once.

    As many pairs as possible; among those pairings, the one with the least total distance.

    Parameters
    ----------
    picks : (n, 3) array, Å
    truth : (m, 3) array, Å
    match_radius
        Å, inclusive.

    Returns
    -------
    pick_index, truth_index : (p,) int64 arrays
        In the order of `truth_index`.
    """
    pick, hit, distance = pairs_within(picks, truth, match_radius)
    near, column = np.unique(pick, return_inverse=True)
    found, row = np.unique(hit, return_inverse=True)
    n, m = len(near), len(found)
    if n == 0:
        return pick, hit
    # Every particle may also take a partner of its own that stands for 'missed' and costs more than
    # all distances together, so a full matching always exists and misses as few as possible.
    miss = match_radius * (m + 1)
    cost = csr_matrix(
        (
            np.concatenate([distance, np.full(m, miss)]) + 1.0,  # a sparse zero would be no edge
            (
                np.concatenate([row, np.arange(m)]),
                np.concatenate([column, n + np.arange(m)]),
            ),
        ),
        shape=(m, n + m),
    )
    rows, columns = min_weight_full_bipartite_matching(cost)
    real = columns < n
    return near[columns[real]], found[rows[real]]


def count_one_to_one(picks: Float, truth: Float, match_radius: float) -> Counts:
    """Counts of one class in one run, each pick and each particle counting at most once."""
    tp = len(match_one_to_one(picks, truth, match_radius)[0])
    return Counts(tp, len(picks) - tp, len(truth) - tp)

"""How far picks lie from the centres that they found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from metrics.matching import match_one_to_one, match_radii


@dataclass(frozen=True)
class LocalizationError:
    """Summary of distances in Å; None where there is no pair."""

    n_pairs: int
    median: float | None
    percentile_95: float | None


def matched_distances(
    picks_by_run: Mapping[str, Picks], truth_by_run: Mapping[str, Picks], types: ParticleTypes
) -> dict[str, NDArray[np.float64]]:
    """Distances of the picks that are paired one-to-one with a true particle of their class.

    Parameters
    ----------
    picks_by_run, truth_by_run
        Picks by run name. Runs that the truth lacks are ignored.

    Returns
    -------
    dict
        Class name to a (p,) float64 array, Å; no distance is above the match radius.
    """
    distances: dict[str, NDArray[np.float64]] = {}
    for i, (name, radius) in enumerate(zip(types.names, match_radii(types), strict=True)):
        per_run = [np.empty(0)]
        for run, truth in truth_by_run.items():
            found = picks_by_run.get(run, Picks.empty()).of_class(i).positions
            real = truth.of_class(i).positions
            pick, hit = match_one_to_one(found, real, float(radius))
            per_run.append(np.linalg.norm(found[pick] - real[hit], axis=1))
        distances[name] = np.concatenate(per_run)
    return distances


def localization_error(distances: NDArray[np.float64]) -> LocalizationError:
    """Median and 95th percentile of distances.

    Parameters
    ----------
    distances : (p,) array, Å
    """
    if len(distances) == 0:
        return LocalizationError(0, None, None)
    median, high = np.percentile(distances, [50, 95]).tolist()
    return LocalizationError(len(distances), median, high)

"""What differs between a tomogram and the data a bundle was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryo_pick.normalize import IntensityStatistics
from cryo_pick.tomogram import Tomogram

ODD_SPREAD = 2.0
"""Ratio of the tails' widths, in units of the spread, above which intensities look strange."""


def intensity_summary(statistics: Sequence[IntensityStatistics]) -> dict[str, Any]:
    """Mean over runs of the statistics, and the skewness of their quantiles, for a bundle."""
    return {
        "median": float(np.mean([s.median for s in statistics])),
        "scale": float(np.mean([s.scale for s in statistics])),
        "quantiles": np.mean([s.quantiles for s in statistics], axis=0).tolist(),
        "skew": float(np.mean([tail_skew(s) for s in statistics])),
    }


def tail_skew(statistics: IntensityStatistics) -> float:
    """How much further the bright tail reaches than the dark one, from -1 to 1.

    Particles and gold are the dark tail of a tomogram; turned around, they are the bright one.
    """
    low, high = statistics.quantiles[0], statistics.quantiles[-1]
    up, down = high - statistics.median, statistics.median - low
    return float((up - down) / max(up + down, 1e-12))


def warnings_of(
    tomogram: Tomogram,
    statistics: IntensityStatistics,
    intensity: Mapping[str, Any],
    tomo_type: str,
) -> list[str]:
    """What a user should know before believing the picks of this tomogram.

    Parameters
    ----------
    tomogram, statistics
        As read.
    intensity, tomo_type
        Of the bundle.
    """
    found = []
    skew, expected = tail_skew(statistics), float(intensity.get("skew", 0.0))
    if abs(expected) > 0.05 and abs(skew) > 0.05 and np.sign(skew) != np.sign(expected):
        found.append(
            f"contrast looks inverted: its longer tail of intensities is {_tail(skew)}, in the "
            f"training data it was {_tail(expected)}; multiply the tomogram by -1"
        )
    if (ratio := _spread_ratio(statistics, intensity)) is not None:
        found.append(
            f"its extreme intensities reach {ratio:.1f} times as far as in the training data, "
            "measured in its own spread; it may be filtered or clipped otherwise"
        )
    if tomogram.tomo_type and tomo_type and tomogram.tomo_type != tomo_type:
        found.append(
            f"its type is {tomogram.tomo_type!r}, the bundle was trained on {tomo_type!r}; "
            "thresholds may not hold"
        )
    return found


def _spread_ratio(statistics: IntensityStatistics, intensity: Mapping[str, Any]) -> float | None:
    """How much wider the tails are than the bundle's, where that is odd; None where it is not."""
    quantiles, scale = intensity.get("quantiles"), float(intensity.get("scale", 0.0))
    if not quantiles or scale <= 0 or statistics.scale <= 0:
        return None
    own = (statistics.quantiles[-1] - statistics.quantiles[0]) / statistics.scale
    usual = (quantiles[-1] - quantiles[0]) / scale
    ratio = float(own / usual) if usual > 0 else 1.0
    return ratio if ratio > ODD_SPREAD or ratio < 1 / ODD_SPREAD else None


def _tail(skew: float) -> str:
    return "bright" if skew > 0 else "dark"

"""The three slices through a candidate that the page of a review shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.gallery import HALF_WIDTH_IN_RADII, three_slices
from cryo_pick.report.slices import particle_sign, png_bytes
from cryo_pick.review.choose import Doubt
from cryo_pick.review.session import PictureOf
from cryo_pick.tomogram import Tomogram

RADII_ACROSS = 4.2
"""Width of each slice; the page draws its circle by the same number."""


def picture_maker(
    doubts: Sequence[Doubt],
    types: ParticleTypes,
    open_volume: Callable[[str], Tomogram],
    sure: Callable[[str], Picks],
) -> PictureOf:
    """A function from a candidate's number to its PNG; only boxes around candidates are read.

    Parameters
    ----------
    doubts
    types
    open_volume
        From a run's name to its tomogram; its volume may be lazy.
    sure
        From a run's name to picks that show whether particles are dark or bright.
    """

    @lru_cache(maxsize=8)
    def opened(run: str) -> tuple[Tomogram, float]:
        tomogram = open_volume(run)
        return tomogram, particle_sign(tomogram, sure(run), types)

    def picture(number: int) -> bytes:
        doubt = doubts[number]
        tomogram, sign = opened(doubt.run)
        radius = types[doubt.proposed].radius * RADII_ACROSS / (2 * HALF_WIDTH_IN_RADII)
        return png_bytes(three_slices(tomogram, doubt.position, radius, sign))

    return picture

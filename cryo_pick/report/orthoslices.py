"""Three orthogonal slices of one run with its picks, as one SVG drawing in units of voxels."""

from __future__ import annotations

from dataclasses import dataclass

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.slices import (
    busiest_index,
    data_url,
    on_slice,
    particle_sign,
    take_slice,
)
from cryo_pick.report.tables import hit_mask, missed_mask
from cryo_pick.tomogram import Tomogram

GAP = 6
"""Voxels between two slices."""


@dataclass(frozen=True)
class Circle:
    """A particle on a slice: centre and radius in the drawing, class, and what became of it."""

    x: float
    y: float
    r: float
    index: int
    kind: str


@dataclass(frozen=True)
class View:
    """One slice in the drawing: its picture, its place, its circles."""

    image: str
    x: int
    y: int
    width: int
    height: int
    axis: str
    plane: int
    circles: tuple[Circle, ...]


@dataclass(frozen=True)
class OrthoSlices:
    """The drawing: size in voxels, three views, and a scale bar."""

    run: str
    tomo_type: str
    width: int
    height: int
    views: tuple[View, ...]
    bar_voxels: float
    bar_nm: int


def ortho_slices(
    tomogram: Tomogram, kept: Picks, truth: Picks, types: ParticleTypes, known: bool
) -> OrthoSlices:
    """Slices through the planes that show the most particles.

    Parameters
    ----------
    tomogram
        Its volume may be lazy: three slabs are read, and a box around a few picks.
    kept
        Cut picks.
    truth
        True particles; what of them no pick hits is drawn as missed.
    types
    known
        Whether picks can be told true from false; without, all are drawn as picked.
    """
    d, h, w = tomogram.shape
    everything = Picks.concatenate([kept, truth])
    sign = particle_sign(tomogram, truth if len(truth) else kept, types)
    marked = _marked(kept, truth, types, known)
    views = []
    for axis, x, y, width, height in (
        (0, 0, 0, w, h),
        (1, 0, h + GAP, w, d),
        (2, w + GAP, 0, d, h),
    ):
        plane = busiest_index(everything, types, tomogram, axis)
        picture = take_slice(tomogram, axis, plane, sign).picture
        if axis == 2:
            picture = picture.T  # z to the right of the x y view, y shared with it
        circles: list[Circle] = []
        for picks, kind in marked:
            shown = picks[on_slice(picks, types, tomogram, axis, plane)]
            circles += _circles(shown, types, tomogram, axis, kind, (x, y))
        views.append(
            View(data_url(picture), x, y, width, height, "zyx"[axis], plane, tuple(circles))
        )
    spacing = tomogram.voxel_spacing[2]
    bar_nm = bar_length(w * spacing / 10)
    return OrthoSlices(
        tomogram.run,
        tomogram.tomo_type,
        w + GAP + d,
        h + GAP + d,
        tuple(views),
        bar_nm * 10 / spacing,
        bar_nm,
    )


def bar_length(width_nm: float) -> int:
    """Length of a scale bar in nm: 1, 2 or 5 times a power of ten, up to a quarter of the width."""
    candidates = [m * 10**e for e in range(6) for m in (1, 2, 5)]
    return max((c for c in candidates if c <= 0.25 * width_nm), default=1)


def _marked(
    kept: Picks, truth: Picks, types: ParticleTypes, known: bool
) -> list[tuple[Picks, str]]:
    """Picks and missed particles by what they are drawn as."""
    if not known:
        return [(kept, "picked")]
    right = hit_mask(kept, truth, types)
    missed = missed_mask(kept, truth, types)
    return [(kept[right], "true"), (kept[~right], "false"), (truth[missed], "missed")]


def _circles(
    picks: Picks,
    types: ParticleTypes,
    tomogram: Tomogram,
    axis: int,
    kind: str,
    corner: tuple[int, int],
) -> list[Circle]:
    """Circles of picks in a view whose corner lies at `corner` of the drawing."""
    index = angstrom_to_index(picks.positions, tomogram.voxel_spacing, tomogram.origin)
    # Across and down in each view: x and y, x and z, z and y. A voxel's centre is at its middle.
    across, down = {0: (2, 1), 1: (2, 0), 2: (0, 1)}[axis]
    return [
        Circle(
            round(float(p[across]) + 0.5 + corner[0], 1),
            round(float(p[down]) + 0.5 + corner[1], 1),
            round(types[k].radius / tomogram.voxel_spacing[across], 1),
            k,
            kind,
        )
        for p, k in zip(index, picks.classes.tolist(), strict=True)
    ]

"""Examples of true, false and missed picks of each class, each as three orthogonal slices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.picks import Picks
from cryo_pick.report.data import ReportData
from cryo_pick.report.slices import data_url, particle_sign, to_grey
from cryo_pick.report.tables import hit_mask, missed_mask
from cryo_pick.tomogram import Tomogram
from metrics.matching import best_hits, match_radii

N_EXAMPLES = 4
"""Of each class and kind."""
HALF_WIDTH_IN_RADII = 1.5
MAX_PIXELS = 56
"""Edge of a picture; a larger particle is sampled coarser."""
SLAB_IN_RADII = 0.3
"""Thickness of the slab that is averaged for a slice."""


@dataclass(frozen=True, eq=False)
class Example:
    """A place to show.

    Attributes
    ----------
    kind
        `true`, `false`, `missed`, or `picked` where nothing is known.
    score
        Of the pick; of a missed particle, the best score among the picks that would hit it, -inf
        where there is none.
    """

    run: str
    index: int
    kind: str
    position: NDArray[np.float64]
    score: float


@dataclass(frozen=True)
class Thumbnail:
    """A drawn example: its three slices side by side as a data URL, and its size in pixels."""

    run: str
    score: float | None
    image: str
    width: int
    height: int


Gallery = list[dict[str, list[Thumbnail]]]
"""For each class, the thumbnails of each kind."""


def choose_examples(data: ReportData, n: int = N_EXAMPLES) -> list[Example]:
    """Places to show: true and missed ones spread over their scores, the surest false ones.

    Parameters
    ----------
    data
    n
        Of each class and kind, at most.
    """
    stage = data.stages[-1]
    kept = stage.kept
    found: dict[tuple[int, str], list[Example]] = defaultdict(list)
    for result in data.runs:
        picks = kept[result.run]
        right = hit_mask(picks, result.truth, data.types)
        for i, k in enumerate(picks.classes.tolist()):
            kind = ("true" if right[i] else "false") if data.has_truth else "picked"
            found[k, kind].append(
                Example(result.run, k, kind, picks.positions[i], float(picks.scores[i]))
            )
        for example in _missed(result.run, picks, stage.picks[result.run], result.truth, data):
            found[example.index, "missed"].append(example)
    chosen: list[Example] = []
    for (_, kind), examples in sorted(found.items(), key=lambda item: item[0]):
        ordered = sorted(examples, key=lambda e: -e.score)
        spread = np.linspace(0, len(ordered) - 1, min(n, len(ordered))).astype(int)
        chosen += ordered[:n] if kind == "false" else [ordered[i] for i in spread]
    return chosen


def draw_gallery(
    data: ReportData, examples: Sequence[Example], open_volume: Callable[[str], Tomogram]
) -> Gallery:
    """Draw every example; each run is opened once, and only boxes around examples are read.

    Parameters
    ----------
    data, examples
    open_volume
        From a run's name to its tomogram; the volume may be lazy.
    """
    gallery: Gallery = [defaultdict(list) for _ in data.types]
    signs = {}
    for run in dict.fromkeys(e.run for e in examples):
        tomogram = open_volume(run)
        known = data.truth[run] if len(data.truth[run]) else data.stages[-1].kept[run]
        signs[run] = particle_sign(tomogram, known, data.types)
        for example in (e for e in examples if e.run == run):
            picture = three_slices(
                tomogram, example.position, data.types[example.index].radius, signs[run]
            )
            score = example.score if np.isfinite(example.score) else None
            height, width = picture.shape
            gallery[example.index][example.kind].append(
                Thumbnail(run, score, data_url(picture), width, height)
            )
    for kinds in gallery:
        for thumbnails in kinds.values():
            thumbnails.sort(key=lambda t: -np.inf if t.score is None else t.score, reverse=True)
    return [dict(kinds) for kinds in gallery]


def three_slices(
    tomogram: Tomogram, position: NDArray[np.float64], radius: float, sign: float
) -> NDArray[np.uint8]:
    """Slices across z, y and x through a position, side by side with a white line between.

    Beyond the volume it is grey.

    Returns
    -------
    (p, 3 p + 2) uint8 array
    """
    half = max(3, round(HALF_WIDTH_IN_RADII * radius / tomogram.voxel_spacing[2]))
    cube = _box(tomogram, position, half)
    thick = max(0, round(SLAB_IN_RADII * radius / 2 / tomogram.voxel_spacing[2]))
    step = max(1, -(-(2 * half + 1) // MAX_PIXELS))
    grey = []
    for axis in range(3):
        slab = np.take(cube, np.arange(half - thick, half + thick + 1), axis=axis)
        grey.append(sign * slab.mean(axis=axis)[::step, ::step])
    # One stretch for all three, so that they can be compared.
    pictures = to_grey(np.concatenate(grey, axis=1))
    p = pictures.shape[0]
    line = np.full((p, 1), 255, np.uint8)
    parts = [pictures[:, i * p : (i + 1) * p] for i in range(3)]
    return np.concatenate([parts[0], line, parts[1], line, parts[2]], axis=1)


def _box(tomogram: Tomogram, position: NDArray[np.float64], half: int) -> NDArray[np.float32]:
    """Cube of voxels around the one nearest to a position, the median of the rest outside."""
    index = angstrom_to_index(position, tomogram.voxel_spacing, tomogram.origin)
    middle = np.clip(np.round(index).astype(int), 0, np.asarray(tomogram.shape) - 1)
    low, high = middle - half, middle + half + 1
    inside_low = np.clip(low, 0, None)
    inside_high = np.minimum(high, tomogram.shape)
    where = tuple(slice(int(a), int(b)) for a, b in zip(inside_low, inside_high, strict=True))
    pad = [(int(a), int(b)) for a, b in zip(inside_low - low, high - inside_high, strict=True)]
    found = np.asarray(tomogram.volume[where], np.float32)
    return np.pad(found, pad, constant_values=float(np.median(found)))


def _missed(run: str, kept: Picks, scored: Picks, truth: Picks, data: ReportData) -> list[Example]:
    """True particles that no kept pick hits, with the best score that was not enough."""
    missed = missed_mask(kept, truth, data.types)
    examples = []
    for k, radius in enumerate(match_radii(data.types).tolist()):
        lost = np.flatnonzero(missed & (truth.classes == k))
        picks = scored.of_class(k)
        best = best_hits(picks.positions, truth.positions[lost], radius, picks.scores)
        examples += [
            Example(run, k, "missed", truth.positions[i], score)
            for i, score in zip(lost.tolist(), best.tolist(), strict=True)
        ]
    return examples

"""How the picks of a project lie on the density of its tomograms, and what is wrong with that.

First every mistake that could have moved picks off their particles is weighed, over all classes
together and then class by class; then, with a mistake that was found undone, the offset of each
class is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.pick_geometry import (
    GeometryVerdict,
    Mistake,
    axis_mistakes,
    clipped,
    decide,
    scale_mistakes,
    weigh_mistakes,
)
from cryo_pick.pick_offset import MIN_PICKS, Offset, combine_offsets, measure_offset
from cryo_pick.picks import Picks
from cryo_pick.problem import NOTICE, PROBLEM, Problem
from cryo_pick.tomogram import Tomogram

ON_DENSITY = 25.0
"""Evidence of a class that lies on something; below it, no offset is measured."""
MIN_OFFSET = 0.25
"""Voxels; a smaller offset of all classes is left alone."""
MIN_DRIFT = 0.5
"""Voxels from one end of the volume to the other; less is no wrong scale."""
SURE = 4.0
"""Standard errors that a finding must be away from nothing."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How picks lie on density.

    Attributes
    ----------
    voxel_spacing, origin, size : Å, zyx
        Of the first tomogram: its grid and the length of its edges.
    overall
        Over all classes; None where no class has picks enough.
    per_class
        Verdict of each class that has picks enough, by name.
    offsets
        Of each class that lies on density, by name, with the mistake of `overall` undone.
    pooled
        All of `offsets` together; None without any.
    """

    voxel_spacing: Vector
    origin: Vector
    size: Vector
    overall: GeometryVerdict | None
    per_class: Mapping[str, GeometryVerdict] = field(default_factory=dict)
    offsets: Mapping[str, Offset] = field(default_factory=dict)
    pooled: Offset | None = None

    @property
    def stretch(self) -> tuple[float, float]:
        """Growth of the offset per Å, all axes together, and its standard error."""
        if self.pooled is None:
            return 0.0, np.inf
        weight = 1.0 / np.square(self.pooled.stretch_error)
        total = float(weight.sum())
        if total == 0.0:
            return 0.0, np.inf
        return float((weight * self.pooled.stretch).sum()) / total, total**-0.5


def measure_alignment(
    tomograms: Sequence[Tomogram],
    picks: Sequence[Picks],
    types: ParticleTypes,
    rng: np.random.Generator,
) -> Alignment:
    """Weigh mistakes and measure offsets on a few runs.

    Parameters
    ----------
    tomograms
        At least one; their volumes are read whole, so give few.
    picks
        Of each tomogram.
    types
    rng
        Draws the random places that picks are compared with.
    """
    loaded = [clipped(t) for t in tomograms]
    first = loaded[0]
    size = (np.asarray(first.shape) * np.asarray(first.voxel_spacing)).tolist()
    grid = (first.voxel_spacing, first.origin, (size[0], size[1], size[2]))
    mistakes = axis_mistakes() + scale_mistakes(first.voxel_spacing[2])
    evidence = {
        particle.name: weigh_mistakes(loaded, positions, particle.radius, mistakes, rng)
        for particle, positions in _by_class(types, picks)
    }
    if not evidence:
        return Alignment(*grid, None)
    overall = decide(np.sum(list(evidence.values()), axis=0), mistakes)
    offsets = {}
    for particle, positions in _by_class(types, picks):
        if overall.mistake is not None:
            undo = overall.mistake.undo
            positions = [undo(p, t) for p, t in zip(positions, loaded, strict=True)]
        if _evidence_after(evidence[particle.name], overall, mistakes) < ON_DENSITY:
            continue
        offset = measure_offset(loaded, positions, particle.radius)
        if offset is not None:
            offsets[particle.name] = offset
    return Alignment(
        *grid,
        overall,
        {name: decide(found, mistakes) for name, found in evidence.items()},
        offsets,
        combine_offsets(list(offsets.values())) if offsets else None,
    )


def check_alignment(alignment: Alignment) -> list[Problem]:
    """What is wrong with how picks lie on density, and what to do."""
    if alignment.overall is None:
        return []
    overall = alignment.overall
    if overall.mistake is not None:
        return [_mistake_problem(alignment, overall.mistake)]
    problems = []
    for name, verdict in alignment.per_class.items():
        if verdict.mistake is not None:
            problems.append(
                Problem(
                    PROBLEM,
                    name,
                    f"{verdict.mistake.words}, in this class only "
                    f"(evidence {verdict.evidence:.0f}, undone {verdict.evidence_undone:.0f})",
                    "correct the picks of this class where they were written",
                )
            )
    if max(v.evidence for v in alignment.per_class.values()) < ON_DENSITY:
        problems.append(
            Problem(
                PROBLEM,
                "picks",
                "the density around picks looks like that around random places, and no swapped "
                "or mirrored axis, unit or scale explains it",
                "check that picks and tomograms are of the same runs, and choose a tomogram with "
                "more contrast by data.tomo_type",
            )
        )
        return problems
    drift = _drift_problem(alignment)
    problems += [drift] if drift else _offset_problems(alignment)
    return problems


def suggested_origin(alignment: Alignment) -> str | None:
    """The setting that would take the pooled offset away, as it is typed; None without one."""
    if alignment.pooled is None:
        return None
    origin = np.asarray(alignment.origin) - alignment.pooled.mean
    voxels = origin / np.asarray(alignment.voxel_spacing)
    if np.ptp(voxels) < 0.2:
        mean = float(voxels.mean())
        half = round(2 * mean) / 2
        return f"data.origin_voxels={half if abs(mean - half) < 0.1 else round(mean, 2):g}"
    return "data.origin=[" + ",".join(f"{o:.1f}" for o in origin) + "]"


def _by_class(
    types: ParticleTypes, picks: Sequence[Picks]
) -> list[tuple[ParticleType, list[NDArray[np.float64]]]]:
    """Each class that has picks enough, with its positions in each run."""
    found = [(t, [p.of_class(k).positions for p in picks]) for k, t in enumerate(types)]
    return [(t, where) for t, where in found if sum(map(len, where)) >= MIN_PICKS]


def _evidence_after(
    evidence: NDArray[np.float64], overall: GeometryVerdict, mistakes: Sequence[Mistake]
) -> float:
    """Evidence of a class with the mistake of all classes undone."""
    place = 0 if overall.mistake is None else 1 + mistakes.index(overall.mistake)
    return float(evidence[place])


def _mistake_problem(alignment: Alignment, mistake: Mistake) -> Problem:
    verdict = alignment.overall
    found = (
        f" (evidence {verdict.evidence:.0f}, undone {verdict.evidence_undone:.0f})"
        if (verdict is not None)
        else ""
    )
    if mistake.factor == 1.0:
        return Problem(
            PROBLEM,
            "picks",
            f"{mistake.words}{found}",
            "correct the picks where they were written; copick wants x, y, z in Å from the corner",
        )
    growth, _ = alignment.stretch
    factor = mistake.factor * (1 + growth)
    return Problem(PROBLEM, "picks", f"{mistake.words}{found}", _scale_advice(alignment, factor))


def _drift_problem(alignment: Alignment) -> Problem | None:
    """A scale that is off by so little that picks still lie on their particles."""
    growth, error = alignment.stretch
    drift = growth * max(alignment.size) / alignment.voxel_spacing[2]
    if abs(growth) < SURE * error or abs(drift) < MIN_DRIFT:
        return None
    return Problem(
        PROBLEM,
        "picks",
        f"the offset of the density grows by {drift:+.1f} voxels across the volume: wrong scale",
        _scale_advice(alignment, 1 + growth),
    )


def _scale_advice(alignment: Alignment, factor: float) -> str:
    spacing = alignment.voxel_spacing[2]
    advice = f"multiply the picks by {factor:.4f}"
    if abs(factor - 1) < 0.3:
        advice += f", or correct the voxel spacing from {spacing:.3f} to {spacing / factor:.3f} Å"
    return advice


def _offset_problems(alignment: Alignment) -> list[Problem]:
    """An offset that all classes share, and classes that are off by themselves."""
    pooled = alignment.pooled
    if pooled is None:
        return []
    spacing = np.asarray(alignment.voxel_spacing)
    voxels, problems = pooled.mean / spacing, []
    sure = np.abs(pooled.mean) > SURE * pooled.error
    if np.any(sure & (np.abs(voxels) >= MIN_OFFSET)):
        half = bool(np.all(np.abs(np.abs(voxels) - 0.5) < 0.15))
        problems.append(
            Problem(
                PROBLEM,
                "picks",
                f"density lies {_words(voxels)} voxels (z, y, x) from the picks"
                + (": half a voxel on every axis" if half else ""),
                f"use {suggested_origin(alignment)}",
            )
        )
    for name, offset in alignment.offsets.items():
        others = [o for other, o in alignment.offsets.items() if other != name]
        if not others:
            continue
        rest = combine_offsets(others)
        apart = offset.mean - rest.mean
        error = np.hypot(offset.error, rest.error)
        if np.any((np.abs(apart) > 0.75 * spacing) & (np.abs(apart) > (SURE + 1) * error)):
            problems.append(
                Problem(
                    NOTICE,
                    name,
                    f"density lies {_words(apart / spacing)} voxels (z, y, x) further from the "
                    "picks than in the other classes",
                    "look at the picks of this class; they may mark a part of the particle",
                )
            )
    return problems


def _words(voxels: NDArray[np.float64]) -> str:
    return ", ".join(f"{v:+.2f}" for v in voxels)

"""What is in a project and what is wrong with it, from facts that were read before.

Nothing here opens a file: :mod:`cryo_pick.commands.inspect` reads, these functions judge, and all
problems are found at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cryo_pick.coordinates import Vector
from cryo_pick.normalize import IntensityStatistics
from cryo_pick.objects import ParticleTypes
from cryo_pick.pick_alignment import Alignment
from cryo_pick.pick_geometry import inside
from cryo_pick.picks import Picks
from cryo_pick.problem import NOTICE, PROBLEM, Problem
from cryo_pick.tomogram import Tomogram

DUPLICATE_SHARE = 0.25
"""Two picks of a class within this share of its radius mark one particle twice."""
UNKNOWN_SPACINGS = (0.0, 1.0)
"""Å; what a header says that was never filled in."""
INTENSITY_FACTOR = 5.0
"""A run whose intensities are scaled by more than this against the others is pointed out."""


@dataclass(frozen=True, eq=False)
class RunFacts:
    """What was read of one run.

    Attributes
    ----------
    run
    available
        Tomogram types at each voxel spacing, Å.
    tomogram
        The one that was opened, its volume lazy; None where it couldn't be.
    intensity
        None where its voxels couldn't be read.
    picks
        None where they couldn't be read.
    errors
        What couldn't be read, as the readers said it.
    """

    run: str
    available: Mapping[float, Sequence[str]]
    tomogram: Tomogram | None = None
    intensity: IntensityStatistics | None = None
    picks: Picks | None = None
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassFacts:
    """The picks of one class over all runs; `nearest` is the median distance to the next one, Å."""

    name: str
    radius: float
    weight: float
    count: int
    n_runs: int
    nearest: float | None


@dataclass(frozen=True, eq=False)
class Inspection:
    """Everything that `cryo-pick inspect` says."""

    project: str
    types: ParticleTypes
    runs: tuple[RunFacts, ...]
    classes: tuple[ClassFacts, ...]
    alignment: Alignment | None
    problems: tuple[Problem, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """A JSON object without NaN or infinity."""
        return {
            "project": self.project,
            "runs": [_run_json(r, self.types) for r in self.runs],
            "classes": [vars(c) for c in self.classes],
            "alignment": _alignment_json(self.alignment),
            "problems": [p.to_json() for p in self.problems],
        }


def class_facts(types: ParticleTypes, runs: Sequence[RunFacts]) -> tuple[ClassFacts, ...]:
    """Counts and spacing of the picks of each class."""
    facts = []
    for k, particle in enumerate(types):
        per_run = [r.picks.of_class(k).positions for r in runs if r.picks is not None]
        near = [_nearest(p) for p in per_run]
        distances = np.concatenate([*near, np.empty(0)])
        facts.append(
            ClassFacts(
                particle.name,
                particle.radius,
                particle.weight,
                sum(map(len, per_run)),
                sum(len(p) > 0 for p in per_run),
                float(np.median(distances)) if len(distances) else None,
            )
        )
    return tuple(facts)


def check_runs(runs: Sequence[RunFacts]) -> list[Problem]:
    """Runs without tomogram, what couldn't be read, several tomograms, odd spacing or intensity."""
    problems = []
    if not runs:
        problems.append(Problem(PROBLEM, "project", "no run", "check the roots in its config"))
    for facts in runs:
        problems += [unreadable(facts.run, error) for error in facts.errors]
        if not any(facts.available.values()):
            problems.append(
                Problem(PROBLEM, facts.run, "no tomogram", "add one, or remove the empty run")
            )
        elif facts.tomogram is None and not facts.errors:
            there = ", ".join(f"{t} at {s:.3f} Å" for s, ts in facts.available.items() for t in ts)
            problems.append(
                Problem(NOTICE, facts.run, "not the tomogram asked for", f"it has {there}")
            )
    for values, what, key in (
        ({s for r in runs for s in r.available}, "voxel spacings, Å", "data.voxel_spacing=Å"),
        ({t for r in runs for ts in r.available.values() for t in ts}, "tomogram types",
         "data.tomo_type=NAME"),
    ):  # fmt: skip
        if len(values) > 1:
            named = ", ".join(str(v) for v in sorted(values, key=str))
            problems.append(
                Problem(NOTICE, "project", f"several {what}: {named}", f"choose one by {key}")
            )
    return problems + _check_spacings(runs) + _check_intensities(runs)


def unreadable(run: str, error: str) -> Problem:
    """The problem that something of a run could not be read."""
    return Problem(
        PROBLEM, run, error, f"replace the file, or leave the run out by data.exclude_runs=[{run}]"
    )


def check_picks(types: ParticleTypes, runs: Sequence[RunFacts]) -> list[Problem]:
    """Classes and runs without picks, duplicates, and picks outside the volume."""
    known = [r for r in runs if r.picks is not None]
    if not any(len(r.picks) for r in known if r.picks is not None):
        needs = "predict works without; train needs picks"
        return [Problem(NOTICE, "project", "no picks at all", needs)]
    problems = []
    for k, particle in enumerate(types):
        count = sum(len(r.picks.of_class(k)) for r in known if r.picks is not None)
        if count == 0:
            problems.append(
                Problem(
                    NOTICE if particle.weight == 0 else PROBLEM,
                    particle.name,
                    "class without picks",
                    "add picks, or remove the object from the config",
                )
            )
        elif len(known) > 1 and sum(bool(len(_of(r, k))) for r in known) == 1:
            problems.append(
                Problem(
                    PROBLEM,
                    particle.name,
                    "picked in one run only, so one fold of a cross-validation has none of it",
                    "pick it in another run",
                )
            )
    for facts in known:
        problems += _check_run_picks(facts, types)
    return problems


def _check_run_picks(facts: RunFacts, types: ParticleTypes) -> list[Problem]:
    problems: list[Problem] = []
    picks = facts.picks or Picks.empty()
    if not len(picks) and any(facts.available.values()):
        problems.append(
            Problem(NOTICE, facts.run, "no picks", "train takes it for a run without particles; "
                    f"if it was not picked, use data.exclude_runs=[{facts.run}]")
        )  # fmt: skip
    if facts.tomogram is not None:
        outside = ~inside(facts.tomogram, picks.positions)
        if outside.any():
            names = sorted({types[int(k)].name for k in picks.classes[outside]})
            problems.append(
                Problem(
                    PROBLEM,
                    facts.run,
                    f"{outside.sum()} of {len(picks)} picks outside the volume "
                    f"({', '.join(names)})",
                    "check their unit (Å), axis order and the voxel spacing",
                )
            )
    for k, particle in enumerate(types):
        positions = picks.of_class(k).positions
        if not len(positions):
            continue
        pairs = KDTree(positions).query_pairs(DUPLICATE_SHARE * particle.radius)
        if pairs:
            problems.append(
                Problem(
                    PROBLEM,
                    facts.run,
                    f"{len(pairs)} pairs of {particle.name} picks closer than "
                    f"{DUPLICATE_SHARE * particle.radius:.0f} Å: one particle picked twice",
                    "keep one of each pair, or choose one picker by data.user_id or "
                    "data.session_id",
                )
            )
    return problems


def _check_spacings(runs: Sequence[RunFacts]) -> list[Problem]:
    """Voxel spacings that are no fact, and voxels that are no cubes."""
    problems = []
    for facts in runs:
        if facts.tomogram is None:
            continue
        spacing: Vector = facts.tomogram.voxel_spacing
        if any(s in UNKNOWN_SPACINGS for s in spacing):
            problems.append(
                Problem(
                    PROBLEM,
                    facts.run,
                    f"voxel spacing {spacing[2]:g} Å: never filled in, not a fact",
                    "write the true spacing into the tomogram's metadata",
                )
            )
        elif max(spacing) > 1.01 * min(spacing):
            text = ", ".join(f"{s:g}" for s in spacing)
            problems.append(
                Problem(NOTICE, facts.run, f"voxels are no cubes: {text} Å (z, y, x)",
                        "resample the tomogram if this is a mistake")
            )  # fmt: skip
    return problems


def _check_intensities(runs: Sequence[RunFacts]) -> list[Problem]:
    """Runs whose intensities are scaled unlike those of the others."""
    scales = {r.run: r.intensity.scale for r in runs if r.intensity is not None}
    if len(scales) < 2:
        return []
    middle = float(np.median(list(scales.values())))
    return [
        Problem(
            NOTICE,
            run,
            f"intensities spread {scale / middle:.2g} times as much as in the other runs",
            "each tomogram is normalised by itself; check that it was made like the others",
        )
        for run, scale in scales.items()
        if not 1 / INTENSITY_FACTOR <= scale / middle <= INTENSITY_FACTOR
    ]


def _of(facts: RunFacts, k: int) -> Picks:
    return (facts.picks or Picks.empty()).of_class(k)


def _nearest(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each position to the next one; empty with fewer than two."""
    if len(positions) < 2:
        return np.empty(0)
    return np.asarray(KDTree(positions).query(positions, k=2)[0][:, 1])


def _run_json(facts: RunFacts, types: ParticleTypes) -> dict[str, Any]:
    tomogram, intensity = facts.tomogram, facts.intensity
    return {
        "run": facts.run,
        "tomograms": {f"{s:.3f}": list(names) for s, names in facts.available.items()},
        "tomo_type": tomogram.tomo_type if tomogram else None,
        "size": list(tomogram.shape) if tomogram else None,
        "voxel_spacing": list(tomogram.voxel_spacing) if tomogram else None,
        "origin": list(tomogram.origin) if tomogram else None,
        "intensity": {"median": intensity.median, "scale": intensity.scale} if intensity else None,
        "picks": {t.name: len(_of(facts, k)) for k, t in enumerate(types)},
        "errors": list(facts.errors),
    }


def _alignment_json(alignment: Alignment | None) -> dict[str, Any] | None:
    """Offsets in Å, z y x; null where nothing could be measured."""
    if alignment is None or alignment.overall is None:
        return None
    rows = {**alignment.offsets}
    if alignment.pooled is not None:
        rows["all"] = alignment.pooled
    mistake = alignment.overall.mistake
    growth, error = alignment.stretch
    return {
        "mistake": mistake.words if mistake else None,
        "evidence": {name: v.evidence for name, v in alignment.per_class.items()},
        "offset": {
            name: {"mean": o.mean.tolist(), "error": o.error.tolist(), "picks": o.n_picks}
            for name, o in rows.items()
        },
        "scale": 1 + growth if np.isfinite(error) else None,
        "scale_error": error if np.isfinite(error) else None,
    }

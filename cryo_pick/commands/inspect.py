"""``cryo-pick inspect``: what is in a project, and every problem found, with what to do."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError, CryoPickError, InputError

if TYPE_CHECKING:
    from rich.table import Table

    from cryo_pick.config import Config
    from cryo_pick.formats.copick import CopickProject
    from cryo_pick.inspect_project import Inspection, RunFacts
    from cryo_pick.objects import ParticleTypes
    from cryo_pick.pick_alignment import Alignment
    from cryo_pick.picks import Picks
    from cryo_pick.settings import DataSettings

MAX_OFFSET_RUNS = 3
"""Runs with the most picks, whose volumes are read whole to measure offsets."""
SEED = 0
"""Of the random places that picks are compared with."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "config.data.project",
        metavar="PROJECT",
        help="copick config JSON or the directory that holds it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Print what is in the project; 0, or 3 where a problem was found.

    Raises
    ------
    ConfigError
        If no project is given.
    InputError
        If the project can't be opened.
    """
    from cryo_pick.formats.copick import open_project
    from cryo_pick.problem import PROBLEM

    if config is None or config.data.project is None:
        raise ConfigError("inspect needs a project: cryo-pick inspect PROJECT")
    inspection = inspect(open_project(config.data.project), config.data)
    if args.json:
        print(json.dumps(inspection.to_json(), indent=2, allow_nan=False))
    else:
        _print(inspection)
    found = any(p.severity == PROBLEM for p in inspection.problems)
    return InputError.exit_code if found else 0


def inspect(project: CopickProject, settings: DataSettings) -> Inspection:
    """Read a project and judge it; nothing that can't be read stops the rest."""
    from cryo_pick.formats.choices import choose_runs
    from cryo_pick.inspect_project import (
        Inspection,
        check_picks,
        check_runs,
        class_facts,
        unreadable,
    )
    from cryo_pick.pick_alignment import check_alignment

    names = choose_runs(project.runs, settings, str(project.config))
    runs = [_read_run(project, name, settings) for name in names]
    problems = check_runs(runs) + check_picks(project.types, runs)
    alignment, unread = _align(runs, project.types)
    problems += [unreadable(name, error) for name, error in unread]
    if alignment is not None:
        problems += check_alignment(alignment)
    return Inspection(
        str(project.config),
        project.types,
        tuple(runs),
        class_facts(project.types, runs),
        alignment,
        tuple(sorted(problems, key=lambda p: p.severity != "problem")),
    )


def _read_run(project: CopickProject, name: str, settings: DataSettings) -> RunFacts:
    """Read one run; what can't be read becomes an error of it."""
    from cryo_pick.inspect_project import RunFacts
    from cryo_pick.normalize import intensity_statistics

    available = {s: project.tomo_types(name, s) for s in project.voxel_spacings(name)}
    tomogram = intensity = picks = None
    errors: list[str] = []
    chosen = _choose(available, settings)
    if chosen is not None:
        try:
            tomogram = project.open_tomogram(name, chosen)
            intensity = intensity_statistics(tomogram.volume)
        except (CryoPickError, ValueError, OSError) as error:
            errors.append(str(error))
    try:
        picks = project.read_picks(name, settings.user_id, settings.session_id)
    except CryoPickError as error:
        errors.append(str(error))
    return RunFacts(name, available, tomogram, intensity, picks, tuple(errors))


def _choose(available: dict[float, list[str]], settings: DataSettings) -> DataSettings | None:
    """Settings of one tomogram: the one asked for, or else the first type at the finest spacing."""
    if settings.voxel_spacing is not None and settings.tomo_type is not None:
        return settings
    for spacing, kinds in sorted(available.items()):
        if settings.voxel_spacing is not None and abs(settings.voxel_spacing - spacing) > 1e-3:
            continue
        wanted = [k for k in kinds if settings.tomo_type in (None, k)]
        if wanted:
            return replace(settings, voxel_spacing=spacing, tomo_type=wanted[0])
    return None


def _align(
    runs: Sequence[RunFacts], types: ParticleTypes
) -> tuple[Alignment | None, list[tuple[str, str]]]:
    """Alignment of picks and density on the runs with the most picks, and what was unreadable."""
    import numpy as np

    from cryo_pick.pick_alignment import measure_alignment
    from cryo_pick.tomogram import Tomogram

    ready = [r for r in runs if r.intensity is not None and r.picks is not None and len(r.picks)]
    ready.sort(key=lambda r: -len(r.picks or ()))
    tomograms: list[Tomogram] = []
    picks: list[Picks] = []
    unread: list[tuple[str, str]] = []
    for facts in ready:
        tomogram = facts.tomogram
        if tomogram is None or facts.picks is None or len(tomograms) == MAX_OFFSET_RUNS:
            continue
        try:
            volume = tomogram.array()
        except (CryoPickError, OSError) as error:
            unread.append((facts.run, str(error)))
            continue
        if not np.isfinite(volume).all():
            bad = int(volume.size - np.count_nonzero(np.isfinite(volume)))
            unread.append((facts.run, f"{bad} voxels are NaN or infinite"))
            continue
        tomograms.append(Tomogram(volume, tomogram.voxel_spacing, tomogram.origin, facts.run))
        picks.append(facts.picks)
    if not tomograms:
        return None, unread
    return measure_alignment(tomograms, picks, types, np.random.default_rng(SEED)), unread


def _print(inspection: Inspection) -> None:
    """Tables of runs and classes, and every problem, to stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.text import Text

    for table in (_runs_table(inspection), _classes_table(inspection)):
        needed = Console(width=1000).measure(table).maximum
        Console(width=max(Console().width, needed)).print(table)
    console = Console(soft_wrap=True, highlight=False)
    scale = _scale_line(inspection.alignment)
    if scale:
        console.print(scale)
    for problem in inspection.problems:
        color = "red" if problem.severity == "problem" else "yellow"
        head = Text.from_markup(f"[{color}]{problem.severity}[/] {escape(problem.where)}: ")
        console.print(head + Text(f"{problem.what}\n  -> {problem.do}"))
    n = sum(p.severity == "problem" for p in inspection.problems)
    console.print(f"{n} problem{'' if n == 1 else 's'} found" if n else "no problem found")


def _runs_table(inspection: Inspection) -> Table:
    """What each run has."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(inspection.project))
    for name in ("run", "tomogram"):
        table.add_column(name)
    for name in ("size z y x", "spacing Å", "origin Å", "median", "spread", "picks"):
        table.add_column(name, justify="right", no_wrap=True)
    for facts in inspection.runs:
        tomogram, intensity = facts.tomogram, facts.intensity
        table.add_row(
            escape(facts.run),
            escape(tomogram.tomo_type) if tomogram else "none",
            " ".join(map(str, tomogram.shape)) if tomogram else "",
            _per_axis(tomogram.voxel_spacing) if tomogram else "",
            _per_axis(tomogram.origin) if tomogram else "",
            f"{intensity.median:.4g}" if intensity else "",
            f"{intensity.scale:.4g}" if intensity else "",
            str(len(facts.picks)) if facts.picks is not None else "",
        )
    return table


def _classes_table(inspection: Inspection) -> Table:
    """The picks of each class, and where the density lies as seen from them."""
    from rich.table import Table

    alignment = inspection.alignment
    undone = alignment is not None and alignment.overall is not None and alignment.overall.mistake
    table = Table(
        title="picks; offset: density minus pick, voxels, with standard error"
        + (", the mistake below undone" if undone else "")
    )
    table.add_column("class")
    columns = ("radius Å", "weight", "picks", "runs", "nearest Å", "offset z", "y", "x", "evidence")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for facts in inspection.classes:
        verdict = alignment.per_class.get(facts.name) if alignment else None
        table.add_row(
            facts.name,
            f"{facts.radius:g}",
            f"{facts.weight:g}",
            str(facts.count),
            str(facts.n_runs),
            f"{facts.nearest:.0f}" if facts.nearest is not None else "",
            *_offset_cells(alignment, facts.name),
            f"{verdict.evidence:.0f}" if verdict else "",
        )
    if alignment is not None and alignment.pooled is not None:
        count = sum(facts.count for facts in inspection.classes)
        cells = _offset_cells(alignment, None)
        table.add_row("all", "", "", str(count), "", "", *cells, "", style="bold")
    return table


def _offset_cells(alignment: Alignment | None, name: str | None) -> list[str]:
    """Offset of a class, or of all, along z, y and x in voxels with its error; empty if unknown."""
    if alignment is None:
        return [""] * 3
    offset = alignment.pooled if name is None else alignment.offsets.get(name)
    if offset is None:
        return [""] * 3
    rows = zip(offset.mean, offset.error, alignment.voxel_spacing, strict=True)
    return [f"{mean / s:+.2f}±{error / s:.2f}" for mean, error, s in rows]


def _scale_line(alignment: Alignment | None) -> str:
    """The scale of the picks, where it could be measured."""
    import math

    if alignment is None or alignment.pooled is None:
        return ""
    growth, error = alignment.stretch
    if not math.isfinite(error):
        return ""
    return f"scale: density lies at {1 + growth:.4f}±{error:.4f} times the picks"


def _per_axis(values: Sequence[float]) -> str:
    """One number where all axes agree, else all three."""
    texts = [f"{v:.3f}".rstrip("0").rstrip(".") for v in values]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)

"""``cryo-pick simulate``: a copick project of simulated tomograms with exact truth."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.objects import ParticleTypes
    from cryo_pick.simulate.project import RunSummary, SimulationPlan

_log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the project to make")
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="tomograms (7)")
    parser.add_argument(
        "--size", type=int, nargs=3, default=(184, 630, 630), metavar=("Z", "Y", "X"),
        help="voxels (184 630 630, as in the CZII challenge)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="run i is made from SEED + i (0)")
    parser.add_argument(
        "--densities", type=Path, metavar="DIR",
        help="maps to use instead of the built-in molecules, one per class, called by its name or "
        "PDB id: npz (`density`, 10 Å) or MRC; the other files are look-alikes",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=float, default=1.0, help="1 CZII-like, 0.5 easy, 2 hard (1)"
    )
    parser.add_argument("--crowding", type=float, default=1.0, help="factor on every count (1)")
    parser.add_argument(
        "--tilt", type=float, nargs=2, default=(45.0, 3.0), metavar=("MAX", "STEP"),
        help="tilt series from -MAX to MAX degrees (45 3)",
    )  # fmt: skip
    parser.add_argument(
        "--voxel-spacing", type=float, metavar="A", help="Å per voxel (10.012, as in the challenge)"
    )
    parser.add_argument(
        "--types", nargs="+", default=["denoised"], choices=["denoised", "wbp"],
        help="reconstructions to keep (denoised)",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a project that simulate made"
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> None:
    """Make the project, and print what is in it and what to do next.

    Raises
    ------
    ConfigError
        If a flag has a value that can't be simulated, or OUT may not be replaced.
    InputError
        If the densities can't be used.
    """
    from cryo_pick.logs import progress
    from cryo_pick.objects import CZII_TYPES
    from cryo_pick.simulate.project import write_simulation

    plan = _plan(args)
    n_workers = min(args.workers, os.cpu_count() or 1)
    with progress("Simulating", plan.n_runs, "runs") as advance:

        def on_run(summary: RunSummary) -> None:
            _log.info("%s: %d particles", summary.run, sum(summary.n_picks))
            if summary.n_dropped:
                _log.warning(
                    "%s: no room in the ice for %d molecules; lower --crowding or enlarge --size",
                    summary.run, summary.n_dropped,
                )  # fmt: skip
            advance(1)

        summaries = write_simulation(
            args.out, plan, overwrite=args.overwrite, n_workers=n_workers, on_run=on_run
        )
    with only_json(args.json) as answer:
        answer({"project": args.out, **_summary(summaries, CZII_TYPES)})
        _print_table(summaries, CZII_TYPES)
        project = shlex.quote(str(args.out))
        print(f"\nproject with exact truth: {args.out}")
        model = shlex.quote(f"{args.out}-model")
        print(f"next: cryo-pick train {project} --out {model}")


def _plan(args: argparse.Namespace) -> SimulationPlan:
    """Checked plan of the flags."""
    from cryo_pick.errors import ConfigError
    from cryo_pick.simulate.project import SimulationPlan
    from cryo_pick.simulate.run import DEFAULT_VOXEL_SPACING, SMALLEST_AXIS, SimulateSettings

    if args.workers < 1:
        raise ConfigError(f"--workers: expected 1 or more, but got {args.workers}")
    if min(args.size) < SMALLEST_AXIS:
        size = " ".join(map(str, args.size))
        raise ConfigError(f"--size: expected {SMALLEST_AXIS} voxels or more each, but got {size}")
    spacing = DEFAULT_VOXEL_SPACING if args.voxel_spacing is None else args.voxel_spacing
    try:
        settings = SimulateSettings(
            voxel_spacing=spacing,
            noise=args.noise,
            crowding=args.crowding,
            tilt_max=args.tilt[0],
            tilt_step=args.tilt[1],
            tomo_types=tuple(dict.fromkeys(args.types)),
        )
        return SimulationPlan(args.runs, tuple(args.size), args.seed, settings, args.densities)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _summary(summaries: list[RunSummary], types: ParticleTypes) -> dict[str, Any]:
    """Picks per class, of all runs and of each, and molecules that found no room."""
    each = [dict(zip(types.names, s.n_picks, strict=True)) for s in summaries]
    return {
        "picks": {name: sum(picks[name] for picks in each) for name in types.names},
        "runs": {
            s.run: {"picks": picks, "dropped": s.n_dropped}
            for s, picks in zip(summaries, each, strict=True)
        },
    }


def _print_table(summaries: list[RunSummary], types: ParticleTypes) -> None:
    """Picks per class, of all runs and of the emptiest and the fullest one."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Simulated particles in {len(summaries)} runs")
    table.add_column("particle")
    for heading in ("radius Å", "picks", "per run"):
        table.add_column(heading, justify="right")
    for kind, counts in zip(types, zip(*(s.n_picks for s in summaries), strict=True), strict=True):
        low, high = min(counts), max(counts)
        per_run = f"{low}" if low == high else f"{low} to {high}"
        table.add_row(kind.name, f"{kind.radius:g}", f"{sum(counts)}", per_run)
    Console().print(table)

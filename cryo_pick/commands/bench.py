"""``cryo-pick bench``: how fast this machine is, and how fast it could be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to measure and the flags."""
    parser.add_argument(
        "kinds",
        metavar="KIND",
        nargs="*",
        help="infer, peaks, thresholds or train; all of them without one",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--size", type=int, nargs=3, metavar=("Z", "Y", "X"), default=(96, 192, 192),
        help="voxels of the volume for infer and peaks (96 192 192)",
    )  # fmt: skip
    parser.add_argument("--candidates", type=int, default=200_000, help="for thresholds (200000)")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts (3)")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Measure and print."""
    import json

    from cryo_pick.pipeline import bench

    unknown = sorted(set(args.kinds) - set(bench.KINDS))
    if unknown or config is None:
        raise ConfigError(f"bench: expected {', '.join(bench.KINDS)}, but got {', '.join(unknown)}")
    if min(*args.size, args.candidates, args.repeats) < 1:
        raise ConfigError("bench: expected --size, --candidates and --repeats above 0")
    chosen: Config = config
    size = (args.size[0], args.size[1], args.size[2])
    runs = {
        "infer": lambda: bench.bench_infer(chosen, size, args.repeats),
        "peaks": lambda: bench.bench_peaks(size, args.repeats),
        "thresholds": lambda: bench.bench_thresholds(args.candidates, args.repeats),
        "train": lambda: bench.bench_train(chosen, args.repeats),
    }
    rows = [row for kind in args.kinds or bench.KINDS for row in runs[kind]()]
    if args.json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("what", "per second", "reached", "ceiling", "ratio"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row.name, f"{row.per_second:.3g}", f"{row.reached / 1e9:.3g} G{row.unit}",
            f"{row.ceiling / 1e9:.3g} G{row.unit}", f"{100 * row.ratio:.0f} %",
        )  # fmt: skip
    Console().print(table)
    return 0

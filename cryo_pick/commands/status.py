"""``cryo-pick status``: which runs of a `predict` folder are done, running, failed, stale."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.pipeline.ledger import RunState

_SHOWN = 50
"""Runs that are listed; --json lists all."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="what --out was for cryo-pick predict"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, every run")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Print how many runs are in each state, and those that are not done."""
    from cryo_pick.pipeline.ledger import count_states, run_states
    from cryo_pick.pipeline.output import output_places

    states = run_states(output_places(args.folder)[0])
    counts = count_states(states.values())
    if args.json:
        runs = {name: {"state": s.state, "detail": s.detail} for name, s in states.items()}
        print(json.dumps({"counts": counts, "runs": runs}, indent=1))
        return 0
    _print_open(states)
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    return 0


def _print_open(states: dict[str, RunState]) -> None:
    """The runs that are not done, waiting ones last."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    order = ("failed", "stale", "running", "waiting")
    rows = [(s.state, name, s.detail) for name, s in states.items() if s.state in order]
    rows.sort(key=lambda row: order.index(row[0]))
    if not rows:
        return
    table = Table()
    for heading in ("state", "run", ""):
        table.add_column(heading)
    for row in rows[:_SHOWN]:
        table.add_row(*map(escape, row))
    Console().print(table)
    if len(rows) > _SHOWN:
        print(f"and {len(rows) - _SHOWN} more (--json lists all)")

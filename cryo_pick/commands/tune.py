"""``cryo-pick tune``: search for the detector's settings that pick best."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "config.data.project", metavar="PROJECT", nargs="?", help="copick project to learn from"
    )
    parser.add_argument("--out", dest="config.out", metavar="DIR", help="folder of the search")
    parser.add_argument(
        "--trials", dest="config.tune.trials", metavar="N", type=int, help="trials in all"
    )
    parser.add_argument(
        "--workers", dest="config.tune.workers", metavar="N", type=int, help="processes"
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Search; print the trials and where the best one's config is."""
    from pathlib import Path

    if config is None or config.out is None:
        raise ConfigError("--out: expected a folder for the search")
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.tune import BEST, TuneJob, tune
    from cryo_pick.run_folder import RunFolder

    out = Path(config.out)
    with RunFolder(out, to_yaml(config)) as folder:
        found = tune(TuneJob(tuple(args.settings), args.config, out))
        folder.write_summary(found)
    with only_json(args.json) as answer:
        answer({"config": out / BEST, **found})
        _print_table(found)
        print(f"best: {out / BEST}")
        print(f"next: detector train --config {out / BEST} --out DETECTOR")
    return 0


def _print_table(found: dict[str, Any]) -> None:
    """The trials, the best first."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(found['trials'])} trials; the best is number {found['best']}")
    table.add_column("trial", justify="right")
    table.add_column("state")
    table.add_column("F4", justify="right")
    table.add_column("settings")
    for trial in sorted(found["trials"], key=lambda t: -(t["f4"] or 0.0)):
        score = "" if trial["f4"] is None else f"{trial['f4']:.3f}"
        settings = " ".join(trial["settings"])
        table.add_row(str(trial["number"]), trial["state"], score, settings)
    Console().print(table)

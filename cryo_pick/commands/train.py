"""``cryo-pick train``: everything from a project to a bundle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "config.data.project", metavar="PROJECT", nargs="?", help="copick project to learn from"
    )
    parser.add_argument(
        "--out", dest="config.out", metavar="BUNDLE", help="folder of the bundle to make"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check data, time and memory, and stop"
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Train, fit, report; print the table and what to do next."""
    from pathlib import Path

    if config is None or config.out is None:
        raise ConfigError("--out: expected a folder for the bundle")
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.processes import first_only, is_first, join_processes
    from cryo_pick.pipeline.whole import check_only, train_bundle
    from cryo_pick.run_folder import RunFolder

    both = [(o.devices, o.nodes) for o in (config.train.optimizer, config.refiner.optimizer)]
    if both[0] != both[1]:
        raise ConfigError(
            f"expected both stages on as many devices and nodes, but got {both}; give devices=N "
            "nodes=M, which set both"
        )
    join_processes(config.train.optimizer)
    with only_json(args.json) as answer:
        if args.dry_run:
            first_only(lambda: answer(check_only(config)))
            return 0
        out = Path(config.out)
        with RunFolder(out, to_yaml(config), writes=is_first()) as folder:
            summary = train_bundle(config, out)
            folder.write_summary(summary)
        if not is_first():
            return 0
        answer({"bundle": out, "report": out / "report.html", **summary})
        print(f"\nbundle: {out}\nreport: {out / 'report.html'}")
        print(f"next: cryo-pick predict TOMOGRAMS --model {out} --out picks.csv")
    return 0

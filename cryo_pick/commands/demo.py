"""``cryo-pick demo``: the whole path on a simulated project, on a CPU, in minutes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "out",
        metavar="OUT",
        nargs="?",
        type=Path,
        default=Path("cryo-pick-demo"),
        help="folder (cryo-pick-demo)",
    )
    parser.set_defaults(**{"config.experiment": "demo"})
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (0)")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Simulate, train, predict unseen runs, evaluate; print the table, one stage against two."""
    from cryo_pick.pipeline.demo import run_demo

    if config is None:
        raise ConfigError("demo: expected a config")
    run_demo(args.out, args.seed, config)
    return 0

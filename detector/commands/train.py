"""``detector train``: one detector, on every run or on those outside a fold."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("--out", dest="config.out", metavar="DIR", help="folder of the weights")
    parser.add_argument(
        "--dry-run", action="store_true", help="check data, time and memory, and stop"
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Train; the weights are DIR/detector.safetensors and .yaml."""
    from importlib import import_module

    if config is None or config.out is None:
        raise ConfigError("out: expected a folder; give out=DIR")
    # The orchestration joins both stages and so lies above this package.
    single = import_module("cryo_pick.pipeline.single")
    with only_json(args.json) as answer:
        single.train_detector_command(config, answer, dry_run=args.dry_run)
    return 0

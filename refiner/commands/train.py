"""``refiner train``: one refiner, on out-of-fold candidates."""

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
    """Train; the weights are DIR/refiner.safetensors and .yaml."""
    from importlib import import_module

    if config is None or config.out is None:
        raise ConfigError("out: expected a folder; give out=DIR")
    if config.candidates.path is None:
        raise ConfigError(
            "candidates: expected a folder made by detector predict; give candidates=DIR"
        )
    single = import_module("cryo_pick.pipeline.single")
    with only_json(args.json) as answer:
        single.train_refiner_command(config, answer, dry_run=args.dry_run)
    return 0

"""``refiner train``: one refiner, on out-of-fold candidates."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("--out", dest="config.out", metavar="DIR", help="folder of the weights")
    parser.add_argument(
        "--dry-run", action="store_true", help="check data, time and memory, and stop"
    )


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Train; the weights are DIR/refiner.safetensors and .yaml."""
    from importlib import import_module

    if config is None or config.out is None:
        raise ConfigError("out: expected a folder; give out=DIR")
    if config.candidates.path is None:
        raise ConfigError(
            "candidates: expected a folder made by detector predict; give candidates=DIR"
        )
    import_module("cryo_pick.pipeline.single").train_refiner_command(config, dry_run=args.dry_run)
    return 0

"""``detector average``: one network from several checkpoints or trainings of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "weights", metavar="WEIGHTS", nargs="+", type=Path, help=".safetensors files of one network"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="new folder")
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Write DIR/detector.safetensors and .yaml."""
    from cryo_pick.average import average_networks

    paths = [p.with_suffix("") if p.suffix == ".safetensors" else p for p in args.weights]
    average_networks(paths, "detector.networks", args.out / "detector")
    with only_json(args.json) as answer:
        answer({"weights": args.out / "detector.safetensors"})
        print(f"weights: {args.out / 'detector.safetensors'}")
    return 0

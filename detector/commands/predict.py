"""``detector predict``: candidates of runs at a permissive threshold."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("--out", dest="config.out", metavar="DIR", help="folder of the candidates")
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Predict; candidates are DIR/oof/<run>.npz, heatmaps DIR/work/heatmaps/<run>.npz."""
    from importlib import import_module

    if config is None or config.out is None:
        raise ConfigError("out: expected a folder; give out=DIR")
    if config.model.path is None:
        raise ConfigError("model: expected a folder made by detector train; give model=DIR")
    single = import_module("cryo_pick.pipeline.single")
    with only_json(args.json) as answer:
        single.predict_detector_command(config, answer)
    return 0

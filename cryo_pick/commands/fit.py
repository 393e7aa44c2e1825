"""``cryo-pick fit``: blend and thresholds from the out-of-fold candidates of a trained folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder made by cryo-pick train")
    parser.add_argument(
        "--copick",
        action="store_true",
        help="also write the thresholds into the project's config (metadata.score_threshold)",
    )


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Fit again, with the `fit` settings given now and the others as trained."""
    from dataclasses import replace

    from cryo_pick.errors import ConfigError
    from cryo_pick.pipeline.results import fit_bundle, read_config, write_thresholds
    from cryo_pick.pipeline.tables import print_fit
    from cryo_pick.pipeline.whole import open_training_data, write_report_of

    trained = read_config(args.folder)
    if config is not None:
        trained = replace(trained, fit=config.fit)
    data, folds = open_training_data(trained)
    bundle, _ = fit_bundle(args.folder, data, folds, trained)
    if args.copick:
        if trained.data.project is None:
            raise ConfigError("--copick: the folder's config names no data.project")
        write_thresholds(bundle, trained.data.project)
    print_fit(bundle)
    report = write_report_of(args.folder)
    print(f"\nbundle: {args.folder}\nreport: {report}")
    return 0

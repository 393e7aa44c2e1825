"""``cryo-pick fit``: blend and thresholds from the out-of-fold candidates of a trained folder."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config

_CHANGES = re.compile(r"\+{0,2}(fit|data)[.=]")
"""Settings that change nothing about candidates and their scores."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder made by cryo-pick train")
    parser.add_argument(
        "--copick",
        action="store_true",
        help="also write the thresholds into the project's config (metadata.score_threshold)",
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Fit again, with the settings given now over those of the training."""
    from cryo_pick.pipeline.results import fit_bundle, write_thresholds
    from cryo_pick.pipeline.tables import print_ceiling, print_fit
    from cryo_pick.pipeline.whole import open_data_of, summary_of_fit, write_report_of
    from cryo_pick.report.tables import ceiling

    trained = _as_trained(args, config)
    data, folds = open_data_of(args.folder, trained)
    bundle, outcome = fit_bundle(args.folder, data, folds, trained)
    if args.copick:
        if trained.data.project is None:
            raise ConfigError("--copick: the folder's config names no data.project")
        write_thresholds(bundle, trained.data.project)
    report, shown = write_report_of(args.folder)
    most, beta = ceiling(shown), trained.fit.beta
    with only_json(args.json) as answer:
        answer(
            {
                "bundle": args.folder,
                "report": report,
                **summary_of_fit(bundle, outcome),
                "ceiling": most.to_json(beta),
            }
        )
        print_ceiling(most, beta, [c.f for c in bundle.fits["one_stage"].thresholds])
        print_fit(bundle)
        print(f"\nbundle: {args.folder}\nreport: {report}")
    return 0


def _as_trained(args: argparse.Namespace, config: Config | None) -> Config:
    """The folder's config with what is given now; `config` alone has defaults in its place."""
    from dataclasses import replace

    from cryo_pick.config import compose
    from cryo_pick.pipeline.results import read_config

    trained = read_config(args.folder)
    settled = [word for word in args.settings if not _CHANGES.match(word)]
    if settled:
        raise ConfigError(
            f"fit: expected settings of fit and data, but got {', '.join(settled)}; "
            "the training has settled the others"
        )
    if args.config is None:
        config = compose(args.settings, args.folder / "config.yaml")
    return trained if config is None else replace(trained, fit=config.fit, data=config.data)

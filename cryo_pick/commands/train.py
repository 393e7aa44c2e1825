"""``cryo-pick train``: everything from a project to a bundle."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError

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
    parser.add_argument("--dry-run", action="store_true", help="check the data and stop")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Train, fit, report; print the table and what to do next."""
    from pathlib import Path

    if config is None or config.out is None:
        raise ConfigError("--out: expected a folder for the bundle")
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.whole import check_only, train_bundle
    from cryo_pick.run_folder import RunFolder

    if args.dry_run:
        check_only(config)
        return 0
    out = Path(config.out)
    with RunFolder(out, to_yaml(config)) as folder:
        folder.write_summary(train_bundle(config, out))
    print(f"\nbundle: {out}\nreport: {out / 'report.html'}")
    print(f"next: cryo-pick predict TOMOGRAMS --model {out} --out picks.csv")
    return 0

"""``cryo-pick predict``: tomograms in, picks out."""

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
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="copick config, OME-Zarr, MRC, or a folder of them",
    )
    parser.add_argument(
        "--model", metavar="BUNDLE", type=Path, required=True, help="folder made by cryo-pick train"
    )
    parser.add_argument(
        "--out", metavar="OUT", dest="config.out", help="folder, or NAME.csv, or NAME.star"
    )
    stage = parser.add_mutually_exclusive_group()
    stage.add_argument(
        "--two-stage",
        action="store_true",
        default=None,
        dest="two_stage",
        help="re-score and refine candidates (default where the bundle can)",
    )
    stage.add_argument("--one-stage", action="store_false", dest="two_stage", help="stage 1 alone")
    parser.add_argument(
        "--copick",
        action="store_true",
        help="also write the picks into the project, as user cryo-pick",
    )
    parser.add_argument("--dry-run", action="store_true", help="list what would be done and stop")
    parser.add_argument("--overwrite", action="store_true", help="pick again what is there")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Pick every run; 4 if some failed."""
    if config is None or config.out is None:
        raise ConfigError("--out: expected a folder, or a file name ending in .csv or .star")
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.batch import predict_batch, show_plan
    from cryo_pick.pipeline.output import output_places
    from cryo_pick.run_folder import RunFolder

    folder, file = output_places(Path(config.out))
    if args.dry_run:
        show_plan(args.inputs, args.model, config, folder)
        return 0
    with RunFolder(folder, to_yaml(config)) as opened:
        summary = predict_batch(
            args.inputs, args.model, config, folder, file,
            two_stage=args.two_stage, overwrite=args.overwrite, copick=args.copick,
        )  # fmt: skip
        opened.write_summary(summary)
    failed = summary["failed"]
    print(f"\npicks: {file}")
    if failed:
        from cryo_pick.errors import PartialFailure, raise_all

        raise_all(
            [f"{run}: {why}" for run, why in failed.items()], PartialFailure, "runs that failed"
        )
    print(
        f"next: cryo-pick evaluate {file} TRUTH\n"
        f"or cut again: cryo-pick threshold {folder} --out PICKS.csv --set CLASS=SCORE"
    )
    return 0

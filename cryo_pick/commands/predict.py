"""``cryo-pick predict``: tomograms in, picks out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick.errors import ConfigError
from cryo_pick.garbage import no_collection
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.formats.inputs import InputRun
    from cryo_pick.pipeline.batch import Batch


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
    parser.add_argument(
        "--watch", action="store_true", help="go on with new tomograms as they appear"
    )
    parser.add_argument(
        "--until-idle", metavar="MINUTES", type=float,
        help="end --watch when nothing new has come for so long (default: when interrupted)",
    )  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Pick every run; 4 if some failed.

    The failed ones are in the JSON too, which is printed before the error is raised.
    """
    if config is None or config.out is None:
        raise ConfigError("--out: expected a folder, or a file name ending in .csv or .star")
    if args.until_idle is not None and not (args.watch and args.until_idle > 0):
        raise ConfigError("--until-idle: expected a number of minutes above 0, and --watch")
    with no_collection():
        from cryo_pick.pipeline.batch import raise_failures
        from cryo_pick.pipeline.output import output_places
        from cryo_pick.pipeline.preview import show_plan

    folder, file = output_places(Path(config.out))
    with only_json(args.json) as answer:
        if args.dry_run:
            answer(show_plan(args.inputs, args.model, config, folder))
            return 0
        summary = _predict(args, config, folder, file)
        answer({"file": file if summary["runs"] else None, "folder": folder, **summary})
        if summary["runs"]:
            print(f"\npicks: {file}")
        raise_failures(summary)
        print(
            f"next: cryo-pick evaluate {file} TRUTH\n"
            f"or cut again: cryo-pick threshold {folder} --out PICKS.csv --set CLASS=SCORE"
        )
    return 0


def _predict(args: argparse.Namespace, config: Config, folder: Path, file: Path) -> dict[str, Any]:
    """Pick, and write everything; the summary."""
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.batch import predict_rounds, prepare_batch
    from cryo_pick.run_folder import RunFolder
    from cryo_pick.signals import preempted_by_signals

    with preempted_by_signals():
        batch = prepare_batch(
            args.inputs, args.model, config,
            two_stage=args.two_stage, copick=args.copick, none_yet=args.watch,
        )  # fmt: skip
        rounds = predict_rounds(
            batch, _rounds(args, config, batch), config, folder, file, overwrite=args.overwrite
        )
        summary: dict[str, Any] = {"runs": {}, "failed": {}, "out_of_memory": []}
        with RunFolder(folder, to_yaml(config)) as opened, closing(rounds):
            for summary in rounds:
                opened.write_summary(summary)
    return summary


def _rounds(args: argparse.Namespace, config: Config, batch: Batch) -> Iterable[Sequence[InputRun]]:
    """All runs at once, or as they appear."""
    if not args.watch:
        return [batch.sources]
    from cryo_pick.formats.inputs import find_inputs
    from cryo_pick.pipeline.watch import LOOK_EVERY_S, new_runs

    idle = None if args.until_idle is None else 60 * args.until_idle
    return new_runs(
        lambda: find_inputs(args.inputs, config.data),
        look_every_s=LOOK_EVERY_S if idle is None else min(LOOK_EVERY_S, idle / 4),
        until_idle_s=idle,
    )

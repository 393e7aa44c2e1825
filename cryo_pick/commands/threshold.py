"""``cryo-pick threshold``: cut the candidates of a prediction again, without any network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "candidates", metavar="CANDIDATES", type=Path, help="folder made by cryo-pick predict"
    )
    parser.add_argument(
        "--out", metavar="PICKS", type=Path, required=True, help=".csv or .star to write"
    )
    parser.add_argument(
        "--set", metavar="CLASS=SCORE", action="append", default=[],
        help="threshold of one class instead of the bundle's; may be repeated",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    stage = parser.add_mutually_exclusive_group()
    stage.add_argument(
        "--two-stage",
        action="store_const",
        dest="stage",
        const="two_stage",
        help="scores of both stages",
    )
    stage.add_argument(
        "--one-stage",
        action="store_const",
        dest="stage",
        const="one_stage",
        help="scores of stage 1 alone",
    )


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Write the picks and print how many there are."""
    from cryo_pick.pipeline.output import check_picks_path, write_picks_file
    from cryo_pick.pipeline.recut import recut
    from cryo_pick.pipeline.tables import print_counts

    check_picks_path(args.out)
    picks, bundle = recut(args.candidates, args.stage, _thresholds(args.set))
    write_picks_file(args.out, picks, bundle.types, args.candidates)
    counts = {
        t.name: sum(int((p.classes == i).sum()) for p in picks.values())
        for i, t in enumerate(bundle.types)
    }
    if args.json:
        print(json.dumps({"file": str(args.out), "runs": len(picks), "picks": counts}))
        return 0
    print_counts(f"picks in {len(picks)} runs", counts)
    print(f"picks: {args.out}")
    return 0


def _thresholds(words: list[str]) -> dict[str, float]:
    """CLASS=SCORE words as numbers.

    Raises
    ------
    ConfigError
        That names the word that is no such pair.
    """
    result = {}
    for word in words:
        name, _, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not name or not 0 <= value <= 1:
            raise ConfigError(
                f"--set {word}: expected CLASS=SCORE with a score from 0 to 1, such as ribosome=0.3"
            )
        result[name] = value
    return result

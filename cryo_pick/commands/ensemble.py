"""``cryo-pick ensemble``: trained folders, of whatever presets, as one bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "members", metavar="DIR", nargs="+", type=Path, help="folders made by cryo-pick train"
    )
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="the new bundle")
    parser.add_argument(
        "--weights", metavar="W", nargs="+", type=float, help="of each folder (default: all equal)"
    )
    parser.add_argument(
        "--match",
        action=argparse.BooleanOptionalAction,
        help="make scores comparable by quantile tables, or average them as they are "
        "(default: what scores higher out of fold)",
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Join the members; print what the ensemble scores out of fold."""
    from cryo_pick.config import to_yaml
    from cryo_pick.pipeline.ensemble import join_members, open_members
    from cryo_pick.pipeline.tables import print_fit
    from cryo_pick.pipeline.whole import open_data_of, summary_of_fits
    from cryo_pick.run_folder import RunFolder

    weights = args.weights
    if weights is not None and (len(weights) != len(args.members) or min(weights) <= 0):
        raise ConfigError(
            f"--weights: expected {len(args.members)} numbers above 0, one for each folder, "
            f"but got {' '.join(f'{w:g}' for w in weights)}"
        )
    members = open_members(args.members, weights)
    data, _ = open_data_of(args.members[0], members[0].config)
    with RunFolder(args.out, to_yaml(members[0].config)) as folder:
        bundle = join_members(members, data, args.out, match=args.match)
        summary = summary_of_fits(bundle)
        folder.write_summary(summary)
    with only_json(args.json) as answer:
        answer({"bundle": args.out, **summary})
        print_fit(bundle)
        print(f"\nbundle: {args.out}")
        print(f"next: cryo-pick predict TOMOGRAMS --model {args.out} --out picks.csv")
    return 0

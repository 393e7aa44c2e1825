"""``cryo-pick report``: one HTML file with the tables, curves and slices of a trained folder."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder made by cryo-pick train")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write it (DIR/report.html)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Write the report, and print where it is and what it says at the top.

    Raises
    ------
    ConfigError
        If FILE is a folder.
    InputError
        If the folder holds no out-of-fold candidates.
    """
    from cryo_pick.errors import ConfigError
    from cryo_pick.pipeline.results import load_report_data
    from cryo_pick.report import headline, write_report

    path: Path = args.out if args.out is not None else args.folder / "report.html"
    if path.is_dir():
        raise ConfigError(f"--out {path}: expected a file name, but this is a folder")
    data, open_volume = load_report_data(args.folder)
    write_report(path, data, open_volume)
    scores = headline(data)
    if args.json:
        of = None if scores is None else asdict(scores)
        print(json.dumps({"report": str(path), "scores": of}))
        return 0
    if scores is not None:
        how = "thresholds from the other folds" if scores.nested else "at the given thresholds"
        for s in scores.stages:
            interval = f"{s.low:.4f} to {s.high:.4f}"
            name = f"{s.label.lower()}: weighted F{scores.beta:g}"
            print(f"{name} {s.score:.4f} (90 % interval {interval}), {how}")
        d = scores.difference
        if d is not None:
            interval = f"{d.low:+.4f} to {d.high:+.4f}"
            print(f"two stages minus one: {d.value:+.4f} (90 % interval {interval})")
    print(f"report: {path}")
    return 0

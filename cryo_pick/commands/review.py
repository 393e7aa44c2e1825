"""``cryo-pick review``: judge doubtful candidates by keyboard; the next training learns from it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("config.data.project", metavar="PROJECT", help="copick project or config")
    parser.add_argument(
        "--candidates", metavar="DIR", type=Path, required=True,
        help="folder made by cryo-pick predict or cryo-pick train",
    )  # fmt: skip
    parser.add_argument(
        "--user", default="reviewer", help="whose picks the verdicts are (reviewer)"
    )
    parser.add_argument(
        "--limit", type=int, default=200, help="most candidates to show, the doubtful first (200)"
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (any free one)")
    parser.add_argument("--open", action="store_true", help="open a browser")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Serve the page and print its address; until Ctrl-C."""
    if config is None:  # the command takes settings
        raise ValueError("Expected argument `config`, but got None.")
    import threading

    from cryo_pick.errors import ConfigError
    from cryo_pick.pipeline.reviewing import open_review
    from cryo_pick.review.session import count_verdicts
    from cryo_pick.serving import wait_for_interrupt

    if args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: expected 1 or more")
    with open_review(config, args.candidates, args.user, args.limit, args.port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        counts = count_verdicts(server.session)
        what = f"{len(server.session.doubts)} candidates in doubt, {counts['left']} left"
        wait_for_interrupt(server.address, what, args.open)
        server.shutdown()
        counts = count_verdicts(server.session)
        print(", ".join(f"{n} {kind}" for kind, n in counts.items()))
    print(f"next: cryo-pick train {config.data.project} data.review_user={args.user} --out BUNDLE")
    return 0

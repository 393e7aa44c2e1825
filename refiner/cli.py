"""The `refiner` command line: stage 2 alone."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick import command
from cryo_pick.command import Command

COMMANDS = (
    Command(
        "train",
        "train a refiner on out-of-fold candidates",
        "refiner.commands.train",
        configured=True,
        example="train data=project candidates=candidates out=refiner_0",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `refiner`; the exit code."""
    return command.main("refiner", COMMANDS, argv)

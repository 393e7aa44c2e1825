"""The `detector` command line: stage 1 alone."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick import command
from cryo_pick.command import Command

COMMANDS = (
    Command(
        "train",
        "train a detector on the runs of a project",
        "detector.commands.train",
        configured=True,
        example="train data=project fold=0 out=detector_0",
    ),
    Command(
        "predict",
        "find candidates at a permissive threshold",
        "detector.commands.predict",
        configured=True,
        example="predict data=project model=detector_0 out=candidates",
    ),
    Command(
        "average",
        "average the weights of several checkpoints or trainings of one network",
        "detector.commands.average",
        example="average a/detector.safetensors b/detector.safetensors --out mean",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `detector`; the exit code."""
    return command.main("detector", COMMANDS, argv)

"""``cryo-pick completion``: a script that lets a shell complete commands, flags and files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.command import Command
    from cryo_pick.config import Config

SHELLS = ("bash", "zsh", "fish", "tcsh")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "shell", choices=SHELLS, help='bash: put `eval "$(cryo-pick completion bash)"` in ~/.bashrc'
    )


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Print the script."""
    import shtab

    from cryo_pick.cli import COMMANDS

    print(shtab.complete(joined_parser("cryo-pick", COMMANDS), args.shell))
    return 0


def joined_parser(program: str, commands: Sequence[Command]) -> argparse.ArgumentParser:
    """One parser with a subparser per command, as completion wants to see them."""
    import shtab

    from cryo_pick.command import parser_of

    parser = argparse.ArgumentParser(program)
    below = parser.add_subparsers()
    for command in commands:
        whole = parser_of(program, command)
        own = below.add_parser(command.name, help=command.help, add_help=False, parents=[whole])
        for action in own._actions:
            takes_path = action.type is Path or not action.option_strings
            if takes_path and action.choices is None:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser

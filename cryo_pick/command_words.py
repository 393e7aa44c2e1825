"""The words of one command: its flags, by argparse, and its key=value settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError
from cryo_pick.overrides import is_override, path_exists


class CommandParser(argparse.ArgumentParser):
    """Reports an error as a ConfigError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")


def build_parser(
    prog: str,
    description: str,
    example: str,
    configured: bool,
    arguments: Callable[[argparse.ArgumentParser], None],
) -> CommandParser:
    """The parser of one command, with the flags that all commands share.

    Parameters
    ----------
    prog
        Program and command.
    example
        A command line that works; empty: none.
    configured
        Whether the command takes key=value settings.
    arguments
        Adds the paths and flags of the command.
    """
    epilog = f"example:\n  {example}\n" if example else ""
    if configured:
        epilog += "\nkey=value words change a setting; --cfg lists them all."
    parser = CommandParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    arguments(parser)
    shared = parser.add_argument_group("shared by all commands")
    shared.add_argument("-v", "--verbose", action="count", default=0, help="more; -vv: tracebacks")
    shared.add_argument("-q", "--quiet", action="store_true", help="warnings and errors only")
    if configured:
        shared.add_argument(
            "--config", metavar="FILE", type=Path,
            help="begin with the config of a YAML file instead of the defaults",
        )  # fmt: skip
        shared.add_argument("--cfg", action="store_true", help="print the config and exit")
        shared.add_argument(
            "-m", "--multirun", action="store_true",
            help="run once for each combination of key=a,b values, each in its folder OUT/<n>",
        )  # fmt: skip
        usage = parser.format_usage().removeprefix("usage: ").rstrip()
        parser.usage = usage.replace("%", "%%") + " [key=value ...]"
    return parser


def parse_words(
    words: Sequence[str], parser: CommandParser, configured: bool
) -> tuple[argparse.Namespace, list[str]]:
    """Values of the flags, and the key=value settings.

    Raises
    ------
    ConfigError
        If a word is one that the command does not take.
    """
    overrides, others = split_words(words, parser, configured)
    args, unknown = parser.parse_known_intermixed_args(others)
    for word in unknown:
        if word.startswith("-"):
            flag = word.split("=")[0]
            parser.error(f"no flag {flag!r}; {closest_hint(flag, parser._option_string_actions)}")
        parser.error(f"{word!r} is one argument too many")
    if overrides and not configured:
        parser.error(f"{overrides[0]!r}: this command takes no key=value settings")
    return args, overrides


def split_words(
    words: Sequence[str], parser: CommandParser, configured: bool
) -> tuple[list[str], list[str]]:
    """The key=value words, and the others.

    The value of a flag is never a setting, nor is what follows ``--``, nor, for a command that
    takes no settings, a path that exists.
    """
    end = words.index("--") if "--" in words else len(words)
    overrides: list[str] = []
    others: list[str] = []
    values = 0
    for word in words[:end]:
        if values == 0 and is_override(word) and (configured or not path_exists(word)):
            overrides.append(word)
        else:
            others.append(word)
            values = values - 1 if values else _values_after(word, parser)
    return overrides, others + list(words[end:])


def _values_after(word: str, parser: CommandParser) -> int:
    """How many of the next words belong to a flag; 0 where the word is none."""
    action = parser._option_string_actions.get(word)
    if action is None:
        return 0
    return 1 if action.nargs is None else action.nargs if isinstance(action.nargs, int) else 0

"""A command line as a table: ``PROGRAM COMMAND [paths] [--flags] [key=value ...]``.

Flags are argparse's; key=value words are settings of the config (:mod:`cryo_pick.config`). A
flag whose `dest` starts with ``config.`` is one of those settings too::

    parser.add_argument("config.data.project", metavar="PROJECT")
    parser.add_argument("--out", dest="config.out", metavar="DIR")

so that ``--cfg`` shows it and a key=value word after it wins. Nothing heavy is imported before
the command runs, and no command's module before its name was typed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from cryo_pick import __version__
from cryo_pick.closest import closest_hint
from cryo_pick.command_words import CommandParser, build_parser, parse_words
from cryo_pick.errors import ConfigError, CryoPickError, PartialFailure, Preempted, raise_all
from cryo_pick.garbage import no_collection, none_at_exit
from cryo_pick.logs import logging_to_stderr
from cryo_pick.overrides import expand_sweep, override_of

if TYPE_CHECKING:
    from cryo_pick.config import Config

_log = logging.getLogger(__name__)

CONFIG = "config."
"""Start of the `dest` of a flag that is a setting of the config."""

OUT_OF_MEMORY = 5
INTERRUPTED = 130
BUG = 1


class CommandModule(Protocol):
    """What the module of a command has; importing it is cheap, `run` imports what it needs."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add paths and flags."""

    def run(self, args: argparse.Namespace, config: Config | None) -> int | None:
        """Do it; the exit code, None for 0.

        Of a configured command, `args.settings` are the key=value settings behind `config`, flags
        included, and `args.config` is the file below them.
        """


@dataclass(frozen=True)
class Command:
    """One row of the table.

    Attributes
    ----------
    name, help
        As ``PROGRAM --help`` shows them.
    module
        Has ``arguments(parser)`` and ``run(args, config) -> int | None``.
    configured
        Whether it takes key=value settings; otherwise `config` is None.
    example
        A command line that works, without the program's name.
    """

    name: str
    help: str
    module: str
    configured: bool = False
    example: str = ""


def main(program: str, commands: Sequence[Command], argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code, as design.md section 5 lists them.

    Every error is explained in one message on stderr; a traceback is shown with ``-vv`` only.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    none_at_exit()
    try:
        return _dispatch(program, commands, words)
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        message, code = explain(error)
        if _verbosity_of(words) >= 2:
            traceback.print_exc()
        print(f"{program}: {message}", file=sys.stderr)
        return code


def explain(error: BaseException) -> tuple[str, int]:
    """What to say about an error, and the exit code it ends with."""
    if isinstance(error, CryoPickError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory {text}".strip(), OUT_OF_MEMORY
    if isinstance(error, OSError):
        return f"{text} (-vv shows where)", BUG
    return f"bug: {type(error).__name__}: {text} (-vv shows where)", BUG


def _verbosity_of(words: Sequence[str]) -> int:
    """How many times -v was typed, also where argparse never got that far."""
    short = sum(len(w) - 1 for w in words if w.startswith("-v") and set(w[1:]) == {"v"})
    return short + words.count("--verbose")


def _dispatch(program: str, commands: Sequence[Command], words: list[str]) -> int:
    """Find the command that the first word names, and run it on the others."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(program, commands), end="", file=sys.stdout if words else sys.stderr)
        return 0 if words else ConfigError.exit_code
    if words[0] == "--version":
        print(f"{program} {__version__}")
        return 0
    for command in commands:
        if command.name == words[0]:
            return _run(program, command, words[1:])
    what = "flag" if words[0].startswith("-") else "command"
    known = ["--help", "--version"] if what == "flag" else [c.name for c in commands]
    raise ConfigError(f"no {what} {words[0]!r}; {closest_hint(words[0], known)}")


def _overview(program: str, commands: Sequence[Command]) -> str:
    """The text of ``PROGRAM --help``."""
    width = max(len(c.name) for c in commands) + 2
    rows = "".join(f"  {c.name:<{width}}{c.help}\n" for c in commands)
    return (
        f"usage: {program} COMMAND [paths] [--flags] [key=value ...]\n\n{rows}\n"
        f"{program} COMMAND --help tells more; {program} --version the version.\n"
    )


def parser_of(program: str, command: Command) -> CommandParser:
    """The parser of one command."""
    module = cast(CommandModule, import_module(command.module))
    example = f"{program} {command.example}" if command.example else ""
    return build_parser(
        f"{program} {command.name}", command.help, example, command.configured, module.arguments
    )


def _run(program: str, command: Command, words: list[str]) -> int:
    """Read the words of one command, compose its config, run it."""
    module = cast(CommandModule, import_module(command.module))
    parser = parser_of(program, command)
    args, overrides = parse_words(words, parser, command.configured)
    with logging_to_stderr(-1 if args.quiet else args.verbose):
        if not command.configured:
            return module.run(args, None) or 0
        with no_collection():
            from cryo_pick.config import compose, to_yaml

            overrides = _settings_of_flags(args) + overrides
            args.settings = overrides
            jobs = expand_sweep(overrides) if args.multirun else [overrides]
            configs = [compose(job, args.config) for job in jobs]
        if args.cfg:
            print("---\n".join(to_yaml(config) for config in configs), end="")
            return 0
        if not args.multirun:
            return module.run(args, configs[0]) or 0
        return _sweep(module, args, configs)


def _settings_of_flags(args: argparse.Namespace) -> list[str]:
    """Settings of the flags that were given and whose `dest` is a key of the config."""
    flags = ((k, v) for k, v in vars(args).items() if k.startswith(CONFIG) and v is not None)
    return [override_of(key.removeprefix(CONFIG), value) for key, value in flags]


def _sweep(module: CommandModule, args: argparse.Namespace, configs: Sequence[Config]) -> int:
    """Run once per config, each in OUT/<n>; one that fails does not stop the others.

    Raises
    ------
    PartialFailure
        That lists the folders of those that failed.
    """
    if any(config.out is None for config in configs):
        raise ConfigError("-m: expected out=DIR, below which each run gets its folder")
    failed = []
    for number, config in enumerate(configs):
        config.out = str(Path(cast(str, config.out)) / str(number))
        _log.info("run %d of %d: %s", number + 1, len(configs), config.out)
        try:
            if module.run(args, config):
                failed.append(config.out)
        except Preempted:
            raise
        except CryoPickError as error:
            _log.error("%s: %s", config.out, error)
            failed.append(config.out)
    raise_all(failed, PartialFailure, "runs that failed")
    return 0

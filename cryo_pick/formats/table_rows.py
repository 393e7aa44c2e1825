"""Rows of plain text tables, one run each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryo_pick.errors import ConfigError
from cryo_pick.formats.picks_table import read_text
from cryo_pick.objects import ParticleTypes


def text_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of each line that isn't empty or a comment (``#``).

    Raises
    ------
    InputError
        If the file can't be read.
    """
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.replace(",", " ").split()
        if words and not words[0].startswith("#"):
            yield number, words


def class_by_number(word: str, names: tuple[str, ...]) -> str:
    """Class that a count from 1 stands for.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not word.isascii() or not word.isdigit() or not 1 <= int(word) <= len(names):
        raise ValueError(f"expected a class from 1 to {len(names)}, but got {word[:20]!r}")
    return names[int(word) - 1]


def class_names(types: ParticleTypes | None, single: str | None, what: str) -> tuple[str, ...]:
    """Names that a format's class numbers count.

    Raises
    ------
    ConfigError
        If nothing says them.
    """
    if types is None and single is None:
        raise ConfigError(
            f"{what} has numbers for classes; name the classes with --objects czii or --objects "
            "PROJECT, or the only one with --class NAME"
        )
    return types.names if types is not None else (str(single),)

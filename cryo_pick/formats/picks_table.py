"""Picks of several runs gathered from the rows of a table, with every problem found on the way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryo_pick.closest import closest_hint
from cryo_pick.errors import InputError, raise_all
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

MAX_PROBLEMS = 10
"""Problems of one file that are listed."""


@dataclass
class PicksTable:
    """Rows of one file, in order.

    Attributes
    ----------
    where
        The file, for messages.
    types
        Classes that the rows may name.
    """

    where: str
    types: ParticleTypes
    _rows: dict[str, list[tuple[float, float, float, int, float]]] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _unknown: Counter[str] = field(default_factory=Counter)

    def add(self, line: int, run: str, name: str, xyz: Sequence[float], score: float) -> None:
        """Add one pick.

        Parameters
        ----------
        line
            Of the file, from 1.
        xyz : Å, x y z
        """
        if not run:
            self.problem(line, "no run name")
        elif name not in self.types.names:
            self._unknown[name] += 1
            if self._unknown[name] == 1:
                hint = closest_hint(name, self.types.names)
                self.problem(line, f"no particle type {name!r:.80}; {hint}")
        else:
            x, y, z = xyz
            row = (z, y, x, self.types.names.index(name), score)
            self._rows.setdefault(run, []).append(row)

    def problem(self, line: int, text: str) -> None:
        """Note what is wrong in a line."""
        self._problems.append(f"line {line}: {text}")

    def picks(self) -> dict[str, Picks]:
        """Picks by run, in the order of the file.

        Raises
        ------
        InputError
            If there was any problem; the first ten are listed.
        """
        more = len(self._problems) - MAX_PROBLEMS
        listed = self._problems[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise_all(listed, InputError, self.where)
        result = {}
        for run, rows in self._rows.items():
            table = np.array(rows, np.float64)
            result[run] = Picks(table[:, :3], table[:, 3].astype(np.int64), table[:, 4])
        return result


def parse_number(text: str, field_name: str) -> float:
    """A finite number.

    Raises
    ------
    ValueError
        If `text` is none.
    """
    try:
        value = math.nan if "_" in text or not text.isascii() else float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e300:
        raise ValueError(f"field `{field_name}` must be a finite number, but is {text[:40]!r}")
    return value


def read_text(path: str | Path) -> str:
    """Content of a UTF-8 text file, without byte order mark.

    Raises
    ------
    InputError
        If it is missing or no text.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror or error})") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text file (byte {error.start} is not UTF-8)") from error
    if "\0" in text:
        raise InputError(f"{path}: no text file (it holds a zero byte)")
    return text

"""Picks of several runs gathered from the rows of a table, with every problem found on the way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cryo_pick.closest import closest_hint
from cryo_pick.errors import InputError, raise_all
from cryo_pick.formats.records import Records, RunPicks
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
        Classes that the rows may name; None: any, counted in the order that they come.
    """

    where: str
    types: ParticleTypes | None
    _rows: dict[str, list[tuple[float, float, float, int, float]]] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _unknown: Counter[str] = field(default_factory=Counter)
    _extra: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    _index: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count the classes that are known."""
        if self.types is not None:
            self._index = {name: i for i, name in enumerate(self.types.names)}

    def add(
        self,
        line: int,
        run: str,
        name: str,
        xyz: Sequence[float],
        score: float,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Add one pick.

        Parameters
        ----------
        line
            Of the file, from 1.
        xyz : x y z
            Å, or what the format counts in.
        extra
            Further columns.
        """
        if not run:
            self.problem(line, "no run name")
            return
        if self.types is None and name:
            self._index.setdefault(name, len(self._index))
        if name not in self._index:
            self._unknown[name] += 1
            if self._unknown[name] == 1:
                hint = closest_hint(name, self._index)
                self.problem(line, f"no particle type {name!r:.80}; {hint}")
            return
        x, y, z = xyz
        self._rows.setdefault(run, []).append((z, y, x, self._index[name], score))
        self._extra.setdefault(run, []).append(extra or {})

    def problem(self, line: int, text: str) -> None:
        """Note what is wrong in a line."""
        self._problems.append(f"line {line}: {text}")

    def records(self) -> Records:
        """Picks and further columns by run, in the order of the file.

        Raises
        ------
        InputError
            If there was any problem; the first ten are listed.
        """
        more = len(self._problems) - MAX_PROBLEMS
        listed = self._problems[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise_all(listed, InputError, self.where)
        runs = {}
        for run, rows in self._rows.items():
            table = np.array(rows, np.float64)
            picks = Picks(table[:, :3], table[:, 3].astype(np.int64), table[:, 4])
            columns = dict.fromkeys(name for row in self._extra[run] for name in row)
            extra = {name: [row.get(name, "") for row in self._extra[run]] for name in columns}
            runs[run] = RunPicks(picks, extra)
        return Records(tuple(self._index), runs)

    def picks(self) -> dict[str, Picks]:
        """Picks by run, in the order of the file.

        Raises
        ------
        InputError
            If there was any problem; the first ten are listed.
        """
        return self.records().picks()


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

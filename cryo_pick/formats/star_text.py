"""STAR text: data blocks with loops of columns or single values, read and written as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAX_LINE = 20_000
"""Characters of a line; RELION's have some hundred."""
_CLOSING = {quote: re.compile(rf"{quote}(?=\s|$)") for quote in "'\""}
_WORD = re.compile(r"\S+")


@dataclass
class StarBlock:
    """One ``data_`` block as a table of text.

    Attributes
    ----------
    name
        After ``data_``.
    columns
        Labels without the leading underscore.
    rows
        Each as long as `columns`; single values make one row.
    lines
        Line of the file that each row starts on, from 1.
    """

    name: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def column(self, label: str) -> list[str]:
        """Values of one column."""
        place = self.columns.index(label)
        return [row[place] for row in self.rows]


def parse_star(text: str) -> list[StarBlock]:
    """Blocks of a STAR file, in order.

    Multi-line values between semicolons, which RELION does not write, are not known.

    Raises
    ------
    ValueError
        If the text is no STAR; the message names the line.
    """
    blocks: list[StarBlock] = []
    in_loop = False
    for number, tokens in _lines(text):
        first = tokens[0]
        if first.lower().startswith("data_"):
            blocks.append(StarBlock(first[5:]))
            in_loop = False
        elif not blocks:
            raise ValueError(f"line {number}: expected a line that starts with data_")
        elif first.lower() == "loop_":
            if blocks[-1].columns:
                raise ValueError(f"line {number}: a second loop_ in block data_{blocks[-1].name}")
            in_loop = True
        elif in_loop and not (first.startswith("_") and not blocks[-1].rows):
            _add_row(blocks[-1], tokens, number)
        elif first.startswith("_"):
            _add_label(blocks[-1], tokens, number, in_loop)
        else:
            raise ValueError(f"line {number}: expected a label or a value of a loop")
    if not blocks:
        raise ValueError("no data_ block")
    return blocks


def format_loop(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text of a block with one loop.

    Raises
    ------
    ValueError
        If a value can't be written: it has a line end or both kinds of quotes.
    """
    lines = [f"data_{name}", "", "loop_"]
    lines += [f"_{label} #{i}" for i, label in enumerate(columns, 1)]
    lines += ["\t".join(map(quote, row)) for row in rows]
    return "\n".join(lines) + "\n"


def quote(value: str) -> str:
    """`value` as one STAR token.

    Raises
    ------
    ValueError
        If it has a line end or both kinds of quotes.
    """
    lowered = value.lower()
    word = value.split() == [value] and not any(c in value for c in "#'\"")
    if word and not lowered.startswith(("_", "$", "[", ";", "data_", "loop_", "save_")):
        return value
    if not value.isprintable() or ('"' in value and "'" in value):
        raise ValueError(f"Expected text that STAR can hold, but got {value!r:.80}.")
    return f"'{value}'" if '"' in value else f'"{value}"'


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and tokens of each line that has any; quotes are kept.

    Raises
    ------
    ValueError
        If a line is too long.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"line {number}: longer than {MAX_LINE} characters")
        tokens = _tokens(line)
        if tokens:
            yield number, tokens


def _tokens(line: str) -> list[str]:
    """Words and quoted texts of a line, up to a comment.

    A quote opens at the start of a word and closes before white space. One that nothing closes is
    part of its word; that is remembered, so that a line is passed over once.
    """
    tokens: list[str] = []
    unclosed: set[str] = set()
    place = 0
    while (word := _WORD.search(line, place)) and not word[0].startswith("#"):
        start, place, quote = word.start(), word.end(), word[0][0]
        if quote in _CLOSING and quote not in unclosed:
            closing = _CLOSING[quote].search(line, start + 1)
            if closing:
                place = closing.end()
            else:
                unclosed.add(quote)
        tokens.append(line[start:place])
    return tokens


def _value(token: str) -> str:
    quoted = len(token) > 1 and token[0] == token[-1] and token[0] in "'\""
    return token[1:-1] if quoted else token


def _add_label(block: StarBlock, tokens: list[str], number: int, in_loop: bool) -> None:
    label = tokens[0][1:]
    if label in block.columns:
        raise ValueError(f"line {number}: label _{label} occurs twice in data_{block.name}")
    if not in_loop:
        if len(tokens) != 2:
            raise ValueError(f"line {number}: expected one value for _{label}")
        if not block.rows:
            block.rows, block.lines = [[]], [number]
        block.rows[0].append(_value(tokens[1]))
    block.columns.append(label)


def _add_row(block: StarBlock, tokens: list[str], number: int) -> None:
    if len(tokens) != len(block.columns):
        expected = f"expected {len(block.columns)} values"
        raise ValueError(f"line {number}: {expected}, but got {len(tokens)}")
    block.rows.append([_value(token) for token in tokens])
    block.lines.append(number)

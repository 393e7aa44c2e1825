"""Valid documents with some of their values replaced, as a string of bytes says.

Random bytes are hardly ever JSON, and random JSON is hardly ever a bundle; a bundle with one wrong
value is what readers stumble over.
"""

from __future__ import annotations

import copy
import json
import math
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2.5, 10**30, -(10**30), 1e308, math.nan, math.inf, -math.inf,
    "", "x", "0", "1", "nan", "../x", "/", "a_b", "${oc.env:HOME}", "\u0000", "\ud800", "é" * 300,
    [], [0], [1, 2, 3], [None] * 3, [[]], [{}], {}, {"x": 1}, {"type": "scale", "scale": [1, 1]},
)  # fmt: skip
REMOVED = len(VALUES)
"""The number that stands for taking a value out."""


class _Choices:
    """Numbers drawn from bytes; 0 when these are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, n: int) -> int:
        return next(self._data, 0) % n


def altered(document: Any, data: bytes) -> Any:
    """A copy of a JSON document with up to four values replaced or taken out."""
    choices = _Choices(data)
    changed = copy.deepcopy(document)
    for _ in range(1 + choices.below(4)):
        if not changed:
            break
        holder, key = changed, _key(changed, choices.below(len(changed)))
        while isinstance(holder[key], dict | list) and holder[key]:
            inner = holder[key]
            number = choices.below(len(inner) + 1)
            if number == len(inner):
                break  # the whole of it
            holder, key = inner, _key(inner, number)
        value = choices.below(len(VALUES) + 1)
        if value == REMOVED:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(VALUES[value])
    return changed


def _key(holder: Any, number: int) -> Any:
    return list(holder)[number] if isinstance(holder, dict) else number


def altered_json(document: Any, data: bytes) -> bytes:
    """The same as the bytes of a file."""
    return json.dumps(altered(document, data)).encode("utf-8", "surrogatepass")

"""The names that come closest to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_ALIKE = 0.6
"""Lowest similarity, 0 to 1, of a name that is worth showing; difflib's own default."""

_FEW = 15
"""Most names that are listed in full; of more, only those without a dot."""


def closest_hint(name: str, known: Iterable[str]) -> str:
    """``closest: a, b`` where some of the known names resemble `name`, else ``known: a, b, c``.

    Dotted names resemble each other if they do as a whole or in their last part.
    """
    names = sorted(set(known))
    ranked = sorted(((*_likeness(name, n), n) for n in names), reverse=True)
    close = [n for best, _, n in ranked if best >= _ALIKE][:3]
    if close:
        return "closest: " + ", ".join(close)
    if len(names) > _FEW:
        names = [n for n in names if "." not in n]
    return "known: " + (", ".join(names) if names else "none")


def _likeness(a: str, b: str) -> tuple[float, float]:
    """How alike two names are at best, and as a whole, each from 0 to 1."""
    whole = SequenceMatcher(None, a, b).ratio()
    last = SequenceMatcher(None, a.rsplit(".", 1)[-1], b.rsplit(".", 1)[-1]).ratio()
    return max(whole, last), whole

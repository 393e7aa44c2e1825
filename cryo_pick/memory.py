"""Amounts of memory as people write them: 4GB, 512MB."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_memory(text: str) -> int:
    """Bytes of an amount such as ``4GB``, ``512 MB`` or ``1.5GiB``.

    Raises
    ------
    ValueError
        If `text` is not a positive number followed by a unit.
    """
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([KMGT]?I?B)\s*", text.upper(), re.ASCII)
    amount = round(float(match[1]) * _UNITS.get(match[2], 0)) if match else 0
    if amount < 1:
        raise ValueError(
            f"Expected an amount of memory such as 4GB or 512MB, but got {text!r:.80}."
        )
    return amount

"""``--json``: what a command found, as one JSON object and nothing else on stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

from cryo_pick.run_folder import plain

Answer = Callable[[Mapping[str, Any]], None]
"""Prints what was found where JSON is asked for, and else nothing."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of tables"
    )


def to_json(values: Mapping[str, Any]) -> str:
    """One line of JSON: paths as text, arrays as lists, NaN and infinity as null.

    One line, so that a sweep (`-m`) prints JSON Lines, one object a run.
    """
    return json.dumps(plain(values), allow_nan=False, ensure_ascii=False)


@contextmanager
def only_json(asked: bool) -> Iterator[Answer]:
    """Keep stdout for what the block answers.

    Tables are printed deep in the pipeline, by functions that the API and several commands share;
    inside the block they go nowhere, so that none of them has to know of JSON.

    Parameters
    ----------
    asked
        Whether JSON is asked for; otherwise everything is printed as ever.

    Yields
    ------
    callable
        Takes the summary; call it once.
    """
    if not asked:
        yield lambda values: None
        return
    stdout = sys.stdout
    with redirect_stdout(StringIO()):
        yield lambda values: print(to_json(values), file=stdout, flush=True)

"""What a command says while it runs: log lines and progress bars, on stderr only.

Modules call ``logging.getLogger(__name__)`` and nothing else; only the command line sets
handlers, through :func:`logging_to_stderr`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PACKAGES = ("cryo_pick", "metrics", "detector", "refiner")
"""Whose log lines are shown; of other packages, warnings are."""

REPORT_EVERY_S = 30.0
"""Shortest time between two progress lines where there is no terminal."""

LINE_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
FILE_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_log = logging.getLogger(__name__)


class Advance(Protocol):
    """Adds to the work that a progress bar shows as done."""

    def __call__(self, amount: float = 1, note: str = "") -> None:
        """`amount` more is done; `note` is shown beside it."""


_shown: list[logging.Handler] = []
"""The handlers that show log lines on stderr; the last one counts."""


@contextmanager
def logging_to_stderr(verbosity: int = 0) -> Iterator[None]:
    """Show log lines on stderr inside the block.

    Parameters
    ----------
    verbosity
        -1: warnings only and no bars; 0: what happens; 1 and more: details.
    """
    handler = _stderr_handler()
    handler.setLevel(logging.WARNING if verbosity < 0 else logging.NOTSET)
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [logger.level for logger in loggers]
    root.addHandler(handler)
    _shown.append(handler)
    logging.captureWarnings(True)
    for logger in loggers:
        logger.setLevel(logging.DEBUG if verbosity > 0 else logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
        logging.captureWarnings(False)
        _shown.pop()
        root.removeHandler(handler)


def _stderr_handler() -> logging.Handler:
    """Colours and columns on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        return RichHandler(console=_console(), show_path=False, log_time_format="%H:%M:%S")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LINE_FORMAT, datefmt="%H:%M:%S"))
    return handler


@cache
def _console() -> Console:
    """The one terminal that log lines and bars share."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def progress(description: str, total: float, unit: str = "") -> Iterator[Advance]:
    """Show how far a loop is: a bar on a terminal, else a log line now and then.

    Parameters
    ----------
    description
        What is being done: "Training".
    total
        Amount of work.
    unit
        Of `total`, for the log line: "steps".

    Yields
    ------
    callable
        Adds to the work that is done, with what is to be said beside it: ``advance(1)`` or
        ``advance(1, "loss 0.02")``.
    """
    if sys.stderr.isatty():
        if _quiet():
            yield _ignore
            return
        with _bar(description, total) as advance:
            yield advance
        return
    yield _line_writer(description, total, unit)


def _ignore(amount: float = 1, note: str = "") -> None:
    """Progress that nobody sees."""


def _quiet() -> bool:
    """Whether the command line was asked to show warnings only."""
    return bool(_shown) and _shown[-1].level > logging.INFO


def _line_writer(description: str, total: float, unit: str) -> Advance:
    """A function that adds to the work done, and logs it at most every `REPORT_EVERY_S`."""
    start = reported = time.monotonic()
    done = 0.0

    def advance(amount: float = 1, note: str = "") -> None:
        nonlocal done, reported
        done += amount
        now = time.monotonic()
        if now - reported < REPORT_EVERY_S or done >= total:
            return
        reported = now
        left = (now - start) * (total - done) / done if done > 0 else float("nan")
        _log.info(
            "%s: %.4g of %g%s, %s left%s",
            description, done, total, unit and f" {unit}", duration(left), note and f", {note}",
        )  # fmt: skip

    return advance


def duration(seconds: float) -> str:
    """A time in words: ``1 h 02 min``, ``3 min 20 s``, ``4 s``."""
    if not 0 <= seconds < float("inf"):
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


_running: list[Progress] = []
"""The bars on the terminal, as one display: rich allows no second one."""


@contextmanager
def _bar(description: str, total: float) -> Iterator[Advance]:
    """A bar with the time left, below the bars that are already there."""
    outermost = not _running
    if outermost:
        display = _display()
        _running.append(display)
        display.start()
    display = _running[0]
    task = display.add_task(description, total=total, note="")

    def advance(amount: float = 1, note: str = "") -> None:
        display.update(task, advance=amount, note=note)

    try:
        yield advance
    finally:
        if outermost:
            _running.pop()
            display.stop()
        else:
            display.remove_task(task)


def _display() -> Progress:
    """Description, bar, count, time left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=_console(),
    )

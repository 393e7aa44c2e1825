"""SIGTERM and SIGUSR1, by which schedulers ask a job to leave: an error now, or an event."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from cryo_pick.errors import Preempted

SIGNALS = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGUSR1") if hasattr(signal, n))
"""Windows has no SIGUSR1."""


class _Stop(KeyboardInterrupt):
    """Passes every `except Exception` on its way out, as Ctrl-C does."""


@contextmanager
def preempted_by_signals() -> Iterator[None]:
    """Leave the block at once when the scheduler asks; what is written whole stays.

    For work in pieces that are each written whole or not at all, so that nothing needs to be
    brought to an end first. A second signal is ignored: cleaning up is under way. Outside the main
    thread, which alone gets signals, nothing is changed.

    Raises
    ------
    Preempted
        After SIGTERM or SIGUSR1.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        if not came:
            came.append(number)
            raise _Stop

    before = {number: signal.signal(number, leave) for number in SIGNALS}
    try:
        yield
    except (_Stop, RuntimeError) as error:
        if not (isinstance(error, _Stop) or isinstance(error.__context__, _Stop)):
            raise
        # Between two steps of a condition's `wait` the lock is open that its `with` then closes,
        # and a signal there leaves as "cannot release un-acquired lock".
        name = signal.Signals(came[0]).name
        raise Preempted(
            f"stopped by {name}; what is done is kept, the same command goes on from there"
        ) from error
    finally:
        _put_back(before)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGUSR1 into an event that the loop looks at between steps."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in SIGNALS}
    try:
        yield stop
    finally:
        _put_back(before)


def _put_back(before: Mapping[int, Any]) -> None:
    for number, handler in before.items():
        # None: a handler that Python did not set and can't set again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)

"""When Python looks for garbage in cycles: not while libraries load, nor at the end.

Loading torch makes a million objects, none of which is garbage, and Python looks through them again
and again: a fifth of the time that a command takes to start, and most of what it takes to end.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Within it nothing is looked for; for imports, which leave no garbage."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def none_at_exit() -> None:
    """Have this process leave what is still there to the system when it ends."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)

"""How much main memory a step of a program takes at most."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextmanager
def measured_peak(peaks: dict[str, int], name: str) -> Iterator[None]:
    """Note the most that was resident during the block, in bytes.

    Of this process, or of the largest of those that it started and that ended by then; pages of
    files that are mapped count where they are in memory. The system keeps only the largest child
    there ever was, so one smaller than an earlier block's isn't seen. Where the system can't
    forget an earlier peak (without Linux' /proc), it is the most since the start; on Windows
    nothing is noted.

    Parameters
    ----------
    peaks
        Where it is noted.
    name
        Of the step.
    """
    started_before = _of_children()
    _forget()
    yield
    own, children = _of_this_process(), _of_children()
    found = max(own, children if children > started_before else 0)
    if found:
        peaks[name] = found


def _forget() -> None:
    """Let the kernel count the peak from now on (proc(5), clear_refs).

    What `/usr/bin/time` says of the whole process then begins here too.
    """
    try:
        FORGET.write_text("5")
    except OSError:
        return


def _of_this_process() -> int:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return _usage("RUSAGE_SELF")
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(found[0]) if found else _usage("RUSAGE_SELF")


def _of_children() -> int:
    return _usage("RUSAGE_CHILDREN")


def _usage(whose: str) -> int:
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return int(unit * resource.getrusage(getattr(resource, whose)).ru_maxrss)

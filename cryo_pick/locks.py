"""Which process works on what, in a folder that several may share.

A lock is a small JSON file that says who holds it, and whose time its holder renews. It goes stale
when its holder is known to be gone (on the same machine) or has not renewed it for a while (on
another). Taking one is done under a file lock of the system, so two processes never get the same
one; where the file system has none, two that come within milliseconds may, and the worst that
comes of it is that a run is done twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryo_pick.files import write_text_atomic

RENEW_EVERY_S = 15.0
STALE_AFTER_S = 120.0
"""A lock of another machine that is older than this is taken over."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    machine
        Host name and process namespace: process ids mean something within one of these.
    pid
    started
        When the process began, in the system's own count, so that a later process with the same
        id is not taken for it; empty where the system doesn't say.
    token
        Of one :class:`Locks`.
    """

    machine: str
    pid: int
    started: str
    token: str

    @classmethod
    def this_process(cls) -> Holder:
        """A holder for this process, with a token of its own."""
        return cls(_machine(), os.getpid(), _start_of(os.getpid()), uuid.uuid4().hex)

    def is_gone(self) -> bool:
        """Whether it is known to have ended; of another machine nothing is known."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it runs, as another user
        return _start_of(self.pid) != self.started


def lock_holder(path: Path) -> tuple[Holder, bool] | None:
    """Who holds the lock at `path`, and whether it is stale; None where there is none."""
    try:
        age = time.time() - path.stat().st_mtime
        holder = Holder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Holder("?", 0, "", ""), True
    return holder, holder.is_gone() or age > STALE_AFTER_S


class Locks:
    """The locks of this process; a context that renews them and gives them all back at its end.

    Parameters
    ----------
    folder
        Where the file lies by which processes take turns.
    """

    def __init__(self, folder: Path) -> None:
        self._turn = folder / ".turn"
        self._me = Holder.this_process()
        self._held: set[Path] = set()
        self._end = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="renew-locks", daemon=True)

    def __enter__(self) -> Self:
        self._turn.parent.mkdir(parents=True, exist_ok=True)
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        for path in list(self._held):
            self.release(path)

    def take(self, path: Path) -> bool:
        """Take the lock at `path`, also from a holder that is gone; False if another holds it."""
        with _turn(self._turn):
            found = lock_holder(path)
            if found is not None and not found[1]:
                return found[0] == self._me
            self._held.add(path)  # first, so that a signal between the two leaves no lock behind
            write_text_atomic(path, json.dumps(asdict(self._me)))
        return True

    def release(self, path: Path) -> None:
        """Give a lock back, if it is still this process's."""
        with _turn(self._turn):
            found = lock_holder(path)
            if found is not None and found[0] == self._me:
                path.unlink(missing_ok=True)
        self._held.discard(path)

    def _renew(self) -> None:
        while not self._end.wait(RENEW_EVERY_S):
            for path in list(self._held):
                with contextlib.suppress(OSError):
                    os.utime(path)


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process at a time, where the file system can see to that."""
    with path.open("ab") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
        yield


def _machine() -> str:
    """Host name and process namespace: containers may share the one but not the other."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}".strip()


def _start_of(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty where that isn't known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()  # from field 3 on; the name before may hold anything
    return "dead, not yet collected" if fields[0] == "Z" else fields[19]

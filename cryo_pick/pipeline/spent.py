"""What each step of a training took, kept beside what it made."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryo_pick.errors import InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.peak_memory import measured_peak

FILE = "spent.json"


@dataclass(frozen=True)
class Spent:
    """Seconds of each step, and bytes of main memory at its peak."""

    seconds: dict[str, float]
    memory: dict[str, int]

    def at_least(self, before: Spent) -> Spent:
        """The larger ones of two starts: a step that was done before is only looked at."""

        def larger(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
            return {name: max(value, b.get(name, value)) for name, value in a.items()}

        return Spent(larger(self.seconds, before.seconds), larger(self.memory, before.memory))


@contextmanager
def spending(spent: Spent, name: str) -> Iterator[None]:
    """Note what the block takes."""
    started = time.monotonic()
    with measured_peak(spent.memory, name):
        yield
    spent.seconds[name] = round(time.monotonic() - started, 1)


def write_spent(folder: Path, spent: Spent) -> None:
    """Write it whole or not at all."""
    write_text_atomic(folder / FILE, json.dumps(asdict(spent), indent=1))


def read_spent(folder: Path) -> Spent:
    """What an earlier start took; nothing where there was none.

    Raises
    ------
    InputError
        If the file is not what a training writes.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Spent(
            {str(k): float(v) for k, v in values["seconds"].items()},
            {str(k): int(v) for k, v in values["memory"].items()},
        )
    except FileNotFoundError:
        return Spent({}, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected seconds and bytes of each step: {error}") from error

"""New tomograms as they appear, each when it has stopped growing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cryo_pick.errors import InputError
from cryo_pick.formats.inputs import InputRun
from cryo_pick.formats.zarr_volume import ZarrVolume

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0


def new_runs(
    find: Callable[[], Sequence[InputRun]],
    *,
    look_every_s: float = LOOK_EVERY_S,
    until_idle_s: float | None = None,
) -> Iterator[list[InputRun]]:
    """Runs that were not there before, in rounds, until nothing has come for a while.

    A run is given out once, when two looks at it find the same files; one that can't be opened is
    given out too if it stays so, and fails with its name.

    Parameters
    ----------
    find
        Lists all runs there are; an InputError means none, and is logged once.
    look_every_s
        Seconds between two looks.
    until_idle_s
        End when no run has changed or come for so many seconds; None: never.
    """
    given: set[str] = set()
    seen: dict[str, str] = {}
    said = ""
    changed = time.monotonic()
    while True:
        try:
            found = [source for source in find() if source.run not in given]
        except InputError as error:
            found = []
            if str(error) != said:
                said = str(error)
                logger.warning("%s", said)
        looks = {source.run: look_of(source) for source in found}
        ready = [source for source in found if seen.get(source.run) == looks[source.run]]
        if looks != seen:
            changed = time.monotonic()
        seen = looks
        if ready:
            given.update(source.run for source in ready)
            yield ready
            changed = time.monotonic()
        elif until_idle_s is not None and time.monotonic() - changed >= until_idle_s:
            return
        time.sleep(look_every_s)


def look_of(source: InputRun) -> str:
    """What changes while a tomogram is being written: number, size and time of its files."""
    try:
        volume = source.open().volume
    except InputError as error:
        return f"can't be opened: {error}"
    if isinstance(volume, ZarrVolume):
        folder = volume.location.local
        return "remote" if folder is None else _look_at(_files(folder))
    return _look_at([Path(str(volume.filename))])


def _files(folder: Path) -> list[Path]:
    return [Path(top, name) for top, _, names in os.walk(folder) for name in names]


def _look_at(files: Sequence[Path]) -> str:
    size = newest = 0
    for file in files:
        try:
            about = file.stat()
        except OSError:  # moved to its place meanwhile
            continue
        size, newest = size + about.st_size, max(newest, about.st_mtime_ns)
    return f"{len(files)} {size} {newest}"

"""A few numbers that take long to measure, kept in the cache folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence

from cryo_pick.cache import default_cache_folder
from cryo_pick.files import write_text_atomic


def kept_numbers(
    kind: str, key: str, like: Sequence[float], measure: Callable[[], Sequence[float]]
) -> Sequence[float]:
    """Numbers above 0 of the cache folder, measured where they are missing or damaged.

    A cache that can't be read or written is no reason to stop.

    Parameters
    ----------
    kind
        Folder within the cache.
    key
        Of all that the numbers depend on, fit for a file name; empty: nothing is kept.
    like
        As many numbers of the types expected.
    measure
        Gives them.
    """
    if not key:
        return measure()
    path = default_cache_folder() / kind / f"{key}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if len(kept) == len(like) and all(
            isinstance(n, type(t)) and n > 0 for n, t in zip(kept, like, strict=True)
        ):
            return tuple(kept)
    except (OSError, ValueError, TypeError):
        pass
    found = measure()
    with contextlib.suppress(OSError):
        write_text_atomic(path, json.dumps(list(found)))
    return found

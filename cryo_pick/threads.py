"""Work on arrays in threads of this process: numpy and compiled loops let others run meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from cryo_pick.hardware import compute_threads

MOST = 8
"""Threads; with more, memory is what such work waits for."""

Result = TypeVar("Result")


def threads() -> int:
    """How many such threads there are: as many as a network has, up to :data:`MOST`.

    While a network runs on all of them, work on one thread only would halve it on two: the thread
    that it takes turns with is the one that the other waits for.
    """
    return min(compute_threads(), MOST)


def side_by_side(work: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """As `map` gives it, a list: what `work` answers to each item; its first error is raised."""
    todo = list(zip(*arguments, strict=True))
    n = min(threads(), len(todo))
    if n < 2:
        return [work(*items) for items in todo]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda items: work(*items), todo))


def shares(n: int) -> list[slice]:
    """So many things, such as planes, cut into a slice for each thread; none is empty."""
    parts = min(threads(), n)
    return [slice(n * i // parts, n * (i + 1) // parts) for i in range(parts)]

"""Memory is used again from the third time on, for any shape that it is large enough for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cryo_pick.buffers import Buffers


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_the_first_is_not_held_and_the_others_share_memory() -> None:
    buffers = Buffers()
    first = buffers.take("a", (4, 1000))
    first[:] = 7
    second = buffers.take("a", (4, 1000))
    assert not np.shares_memory(first, second)
    second[:] = 1
    third = buffers.take("a", (2, 1500), np.float64)
    assert third.shape == (2, 1500)
    assert third.dtype == np.float64
    assert not np.shares_memory(second, third)  # too small for it
    fourth = buffers.take("a", (2, 1000), np.float64)
    assert address(fourth) == address(third)
    fourth[:] = 5
    assert (third.ravel()[:2000] == 5).all()
    small = buffers.take("a", (10,))
    assert not np.shares_memory(small, fourth)  # what is far too large is given back


def test_threads_don_t_share() -> None:
    buffers = Buffers()
    mine = [buffers.take("a", (100,)) for _ in range(3)][-1]
    with ThreadPoolExecutor(1) as pool:
        theirs = [pool.submit(buffers.take, "a", (100,)).result() for _ in range(3)][-1]
    assert not np.shares_memory(mine, theirs)


def test_names_don_t_share() -> None:
    buffers = Buffers()
    for _ in range(3):
        a, b = buffers.take("a", (100,)), buffers.take("b", (100,))
    a[:], b[:] = 1, 2
    assert (a == 1).all()

"""Work in threads gives what the same work one by one gives."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.threads import MOST, shares, side_by_side, threads


@pytest.fixture(params=[1, 2, 5])
def n_threads(request, monkeypatch):
    monkeypatch.setattr("cryo_pick.threads.compute_threads", lambda: request.param)
    return request.param


def test_results_come_in_order(n_threads):
    assert side_by_side(lambda n: n * n, range(20)) == [n * n for n in range(20)]
    assert side_by_side(pow, [2, 3], [4, 5]) == [16, 243]
    assert side_by_side(str, []) == []


def test_as_many_at_a_time_as_there_are_threads(n_threads):
    together = threading.Barrier(n_threads)
    assert side_by_side(lambda n: (together.wait(10), n)[1], range(n_threads)) == list(
        range(n_threads)
    )


def test_the_first_error_is_raised(n_threads):
    def work(n):
        if n in (3, 7):
            raise ValueError(n)
        return n

    with pytest.raises(ValueError, match="3"):
        side_by_side(work, range(9))


@given(st.integers(0, 50), st.integers(1, 2 * MOST))
def test_shares_cut_everything_once(n, processors):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cryo_pick.threads.compute_threads", lambda: processors)
        parts = shares(n)
        assert len(parts) == min(n, threads()) <= MOST
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(part.stop > part.start for part in parts)

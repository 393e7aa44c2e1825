"""Picks validate at birth, may be empty, and are selected and joined without loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.picks import Picks


def some_picks(n: int) -> Picks:
    return Picks(np.arange(3.0 * n).reshape(n, 3), np.arange(n) % 3, np.linspace(0, 1, n))


def test_scores_default_to_one() -> None:
    assert Picks(np.zeros((2, 3)), np.array([0, 1])).scores.tolist() == [1, 1]


def test_arrays_are_converted() -> None:
    picks = Picks([[1, 2, 3]], [1], [0.5])  # type: ignore[arg-type]
    assert picks.positions.dtype == np.float64
    assert picks.classes.dtype == np.int64


@pytest.mark.parametrize(
    "picks", [Picks.empty(), Picks([], []), Picks.concatenate([])], ids=["empty", "lists", "none"]
)
def test_no_picks_are_legal(picks: Picks) -> None:
    assert len(picks) == 0
    assert picks.positions.shape == (0, 3)
    assert len(picks.of_class(0)) == 0
    assert len(picks[np.zeros(0, bool)]) == 0
    assert len(Picks.concatenate([picks, picks])) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 2)), [0, 0]), r"`positions` to be \(n, 3\), but got shape \(2, 2\)"),
        ((np.zeros((2, 3)), [0]), "`classes` to have 2 entries, but got 1"),
        ((np.zeros((2, 3)), [0, 0], [1.0]), "`scores` to have 2 entries, but got 1"),
        ((np.full((1, 3), np.nan), [0]), "`positions` to be finite"),
        ((np.zeros((1, 3)), [0], [np.inf]), "`scores` to be finite"),
        ((np.zeros((1, 3)), [-1]), "`classes` to be 0 or more, but got -1"),
    ],
)
def test_arrays_that_disagree_are_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Picks(*arguments)


@given(st.integers(0, 12))
def test_the_classes_together_are_all_picks(n: int) -> None:
    picks = some_picks(n)
    joined = Picks.concatenate([picks.of_class(i) for i in range(3)])
    assert sorted(map(tuple, joined.positions)) == sorted(map(tuple, picks.positions))


def test_a_mask_and_indices_select_the_same() -> None:
    picks = some_picks(5)
    mask = picks.scores > 0.4
    np.testing.assert_array_equal(picks[mask].positions, picks[np.flatnonzero(mask)].positions)

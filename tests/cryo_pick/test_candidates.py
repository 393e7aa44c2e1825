"""Candidates validate at birth, may be empty, and carry the scores of both stages."""

import numpy as np
import pytest

from cryo_pick.candidates import Candidates

ONE = np.zeros((1, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ONE, np.zeros((2, 4))), r"`stage1` to be \(1, k\), but got shape \(2, 4\)"),
        ((ONE, np.zeros(1)), r"`stage1` to be \(1, k\), but got shape \(1,\)"),
        ((ONE, np.zeros((1, 4)), np.zeros((1, 5))), "`stage2` and `refined` both or neither"),
        ((ONE, np.zeros((1, 4)), None, ONE), "`stage2` and `refined` both or neither"),
        ((ONE, np.zeros((1, 4)), np.zeros((1, 4)), ONE), r"`stage2` to be \(1, 5\)"),
        ((ONE, np.zeros((1, 4)), np.zeros((1, 5)), np.zeros((2, 3))), r"`refined` to be \(1, 3\)"),
        ((ONE * np.nan, np.zeros((1, 4))), "`positions` to be finite"),
        ((ONE, np.full((1, 4), np.inf)), "`stage1` to be finite"),
    ],
)
def test_arrays_that_disagree_are_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Candidates(*arguments)


def test_no_candidates_are_legal() -> None:
    none = Candidates.empty(6)
    assert len(none) == 0
    assert none.n_classes == 6
    assert len(none[np.zeros(0, bool)]) == 0


def test_selection_keeps_both_stages_in_step() -> None:
    positions = np.arange(9.0).reshape(3, 3)
    stage1 = np.arange(6.0).reshape(3, 2)
    stage2 = np.arange(9.0).reshape(3, 3)
    chosen = Candidates(positions, stage1, stage2, positions + 1)[[2, 0]]
    assert chosen.stage2 is not None
    assert chosen.refined is not None
    assert chosen.positions[:, 0].tolist() == [6, 0]
    assert chosen.stage1[:, 0].tolist() == [4, 0]
    assert chosen.stage2[:, 0].tolist() == [6, 0]
    assert chosen.refined[:, 0].tolist() == [7, 1]
    assert Candidates(positions, stage1)[[1]].stage2 is None

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.folds import assign_folds

RUNS = st.lists(st.text("abc123", min_size=1), min_size=1, max_size=12, unique=True)


def test_sorted_runs_are_dealt_out_in_turn():
    assert assign_folds(["c", "a", "d", "b"], 2) == {"a": 0, "b": 1, "c": 0, "d": 1}


@given(RUNS, st.integers(1, 12), st.randoms())
def test_folds_are_even_and_independent_of_the_order(runs, n_folds, random):
    if n_folds > len(runs):
        with pytest.raises(InputError, match=f"{len(runs)} runs.*{n_folds} folds"):
            assign_folds(runs, n_folds)
        return
    folds = assign_folds(runs, n_folds)
    sizes = [list(folds.values()).count(f) for f in range(n_folds)]
    assert sum(sizes) == len(runs)
    assert max(sizes) - min(sizes) <= 1
    shuffled = random.sample(runs, len(runs))
    assert assign_folds(shuffled, n_folds) == folds


def test_too_few_runs_or_folds():
    with pytest.raises(InputError, match=r"train.folds=3"):
        assign_folds(["a", "b", "c"], 4)
    with pytest.raises(InputError, match="2 runs at least"):
        assign_folds(["a"], 2)
    with pytest.raises(ConfigError, match="1 or more, but got 0"):
        assign_folds(["a"], 0)

import pytest

from cryo_pick.closest import closest_hint


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("evalute", "evaluate"),
        ("train.stesp", "train.optimizer.steps"),
        ("steps", "train.optimizer.steps"),
        ("--jsno", "--json"),
    ],
)
def test_a_misspelt_name_gets_the_one_that_was_meant_first(name, first):
    known = ["evaluate", "train.optimizer.steps", "train.crop", "train.folds", "--json", "--help"]
    assert closest_hint(name, known).startswith(f"closest: {first}")


def test_a_name_like_no_other_gets_all_of_them():
    assert closest_hint("xyz", ["b", "a"]) == "known: a, b"
    assert closest_hint("xyz", []) == "known: none"


def test_of_many_names_only_those_without_a_dot_are_listed():
    known = [f"group.{i}" for i in range(40)] + ["group"]
    assert closest_hint("xyz", known) == "known: group"

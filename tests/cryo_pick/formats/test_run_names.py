"""Names of tomograms, matched with runs."""

import logging

import pytest

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.run_names import RunNames, bare, parse_renames

KNOWN = frozenset({"TS_5_4", "TS_6_4", "TS_73_6"})


@pytest.mark.parametrize(
    "name",
    [
        "TS_5_4",
        "TS_5_4.tomostar",
        "rec_TS_5_4.mrc",
        "TS_5_4_Vol",
        "a/b/TS_5_4_10.00Apx.mrc",
        "TS_5_4_bin4_rec.mrc",
        "C:\\data\\TS_5_4.rec",
    ],
)
def test_what_programs_put_around_a_name_does_not_count(name: str) -> None:
    names = RunNames(KNOWN)
    assert names(name) == "TS_5_4"
    assert names.found == {name: "TS_5_4"}


def test_a_name_is_never_stripped_to_nothing() -> None:
    assert bare(".mrc") == ".mrc"
    assert bare("rec_TS_1") == "TS_1"


def test_a_known_name_goes_before_what_is_left_of_it() -> None:
    names = RunNames(frozenset({"TS_1", "TS_1_Vol"}))
    assert names("TS_1_Vol") == "TS_1_Vol"
    assert names("TS_1.mrc") is None, "either would do, so neither is taken"


def test_rules_are_applied_in_turn() -> None:
    names = RunNames(KNOWN, parse_renames(["^tomo=TS_", "-=_", r"(.*)x$=\1"]))
    assert names("tomo5-4x") == "TS_5_4"


def test_without_known_runs_every_name_is_good() -> None:
    names = RunNames(None, parse_renames(["^a=b"]))
    assert names("a1") == "b1"
    assert names("rec_x.mrc") == "rec_x.mrc"
    names.check("p.star")


def test_nothing_that_matches_is_an_error_that_shows_the_closest() -> None:
    names = RunNames(KNOWN)
    assert names("TS_5_5") is None
    assert names("TS_5_5") is None
    with pytest.raises(
        InputError, match=r"p\.star: 0 of 1 names match the 3 known runs; TS_5_5: closest: TS_5_4"
    ):
        names.check("p.star")


def test_some_that_match_are_kept_and_the_others_named(caplog: pytest.LogCaptureFixture) -> None:
    names = RunNames(KNOWN)
    names("TS_5_4"), names("TS_9_9")
    with caplog.at_level(logging.WARNING):
        names.check("p.star")
    assert "1 of 2 names match" in caplog.text
    assert "left out: TS_9_9" in caplog.text


@pytest.mark.parametrize("word", ["no-equals", "=x", "(=x", r"a=\7"])
def test_what_is_no_rule(word: str) -> None:
    with pytest.raises(ConfigError, match=r"--rename .*expected a regular expression"):
        parse_renames([word])

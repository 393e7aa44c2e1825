"""Verdicts are picks of another user, which nobody reads by accident, and are found again."""

import numpy as np
import pytest

from cryo_pick.formats.copick import open_project
from cryo_pick.formats.copick_picks import ACCEPTED, REJECTED
from cryo_pick.picks import Picks
from cryo_pick.review.choose import doubts_of_run
from cryo_pick.review.session import ReviewSession, Verdict, count_verdicts
from tests.cryo_pick.review.conftest import TYPES


@pytest.fixture
def doubts(candidates, fits):
    return doubts_of_run("TS_1", candidates, fits, TYPES)


def written(project, session):
    picks = project.read_picks("TS_1", "reviewer", session)
    return {
        (tuple(p.round(3)), int(k)) for p, k in zip(picks.positions, picks.classes, strict=True)
    }


def test_verdicts_are_written_as_they_are_given(project, doubts):
    session = ReviewSession(project, "reviewer", doubts)
    places = [tuple(d.position) for d in doubts]
    first, second, third = (d.proposed for d in doubts)
    session.decide(0, Verdict(first))
    assert written(project, ACCEPTED) == {(places[0], first)}
    session.decide(1, Verdict(1 - second))
    session.decide(2, Verdict(None))
    assert written(project, ACCEPTED) == {(places[0], first), (places[1], 1 - second)}
    assert written(project, REJECTED) == {(places[1], second), (places[2], third)}
    assert count_verdicts(session) == {"accepted": 1, "relabelled": 1, "rejected": 1, "left": 0}
    session.decide(1, None)
    assert written(project, ACCEPTED) == {(places[0], first)}
    assert written(project, REJECTED) == {(places[2], third)}


def test_the_truth_is_what_it_was(project, doubts):
    before = project.read_picks("TS_1")
    session = ReviewSession(project, "reviewer", doubts)
    for number, doubt in enumerate(doubts):
        session.decide(number, Verdict(doubt.proposed if number else None))
    after = open_project(project.config).read_picks("TS_1")
    np.testing.assert_array_equal(after.positions, before.positions)
    # Whoever asks for the reviewer's picks gets the particles, and not what is none.
    asked = project.read_picks("TS_1", "reviewer")
    assert len(asked) == len(doubts) - 1


def test_a_second_session_goes_on(project, doubts):
    first = ReviewSession(project, "reviewer", doubts)
    first.decide(0, Verdict(1 - doubts[0].proposed))
    first.decide(1, Verdict(None))
    again = ReviewSession(project, "reviewer", doubts)
    assert again.verdicts == first.verdicts
    # A review of other candidates keeps what was said of these.
    other = ReviewSession(project, "reviewer", doubts[2:])
    assert other.verdicts == {}
    other.decide(0, Verdict(doubts[2].proposed))
    assert ReviewSession(project, "reviewer", doubts).verdicts == {
        **first.verdicts, 2: Verdict(doubts[2].proposed),
    }  # fmt: skip


def test_what_cannot_be_written_is_not_decided(project, doubts, monkeypatch):
    session = ReviewSession(project, "reviewer", doubts)

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(type(project), "write_picks", full)
    with pytest.raises(OSError, match="no space"):
        session.decide(0, Verdict(None))
    assert session.verdicts == {}


@pytest.mark.parametrize(("number", "index"), [(-1, 0), (99, 0), (0, 2), (0, -1)])
def test_what_is_not_there_cannot_be_judged(project, doubts, number, index):
    session = ReviewSession(project, "reviewer", doubts)
    with pytest.raises(ValueError, match="Expected"):
        session.decide(number, Verdict(index))
    assert session.verdicts == {}
    assert len(project.read_picks("TS_1", "reviewer")) == 0


def test_picks_of_a_review_are_read_where_their_session_is_named(project):
    project.write_picks("TS_1", Picks(np.ones((1, 3)), np.array([0])), "x", REJECTED)
    assert len(project.read_picks("TS_1", session_id=REJECTED)) == 1
    assert len(project.read_picks("TS_1", "x")) == 0

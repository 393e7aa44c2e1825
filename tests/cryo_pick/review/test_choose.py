"""Which candidates are shown: a sure one and an empty place are not, the others are, in order."""

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.review.choose import doubts_of_run, most_doubtful
from tests.cryo_pick.review.conftest import POSITIONS, STAGE1, TYPES, fit_of


def test_what_is_in_doubt_and_why(candidates, fits):
    found = doubts_of_run("TS_1", candidates, fits, TYPES)
    by_place = {tuple(d.position - [0, 5, 0]): d for d in found}
    assert set(by_place) == {tuple(p) for p in POSITIONS[1:4]}
    out, near, new = (by_place[tuple(p)] for p in POSITIONS[1:4])
    # logit 0.9 = 2.197; the blend is half of each: (2.197 - 2.197) / 2 = 0, which is 0.5
    assert out.proposed == 0
    assert near.proposed == 0
    assert not near.disagree
    assert near.reason == "its score is near the threshold"
    assert near.urgency == pytest.approx(np.log(0.55 / 0.45) / 2, abs=1e-3)
    assert (new.proposed, new.disagree) == (1, True)
    assert new.reason == "the second stage brings it in"
    # logit 0.45 = -0.2007, logit 0.9 = 2.1972
    assert new.scores[1] == pytest.approx(1 / (1 + np.exp(-(2.1972 - 0.2007) / 2)), abs=1e-3)
    assert found[0].disagree


def test_what_the_second_stage_takes_out(candidates, fits):
    sure = Candidates(
        candidates.positions, candidates.stage1, candidates.stage2 * [[0.5, 1, 1]],
        candidates.refined,
    )  # fmt: skip
    found = doubts_of_run("TS_1", sure, fits, TYPES)
    (out,) = (d for d in found if tuple(d.position) == (100, 305, 100))
    assert (out.proposed, out.disagree) == (0, True)
    assert out.reason == "the second stage takes it out"


def test_one_stage_alone_shows_what_is_near_the_threshold():
    found = doubts_of_run(
        "TS_1", Candidates(POSITIONS, STAGE1), {"one_stage": fit_of(1.0, 0.0)}, TYPES
    )
    assert {tuple(d.position) for d in found} == {tuple(p) for p in POSITIONS[2:4]}
    assert all(d.stage2 is None and not d.disagree for d in found)


def test_a_particle_is_shown_once_and_the_limit_keeps_the_most_doubtful(fits):
    moved = np.array([[0.0, 0, 0], [0, 10, 0], [0, 0, 0], [0, 300, 0]])
    places = np.repeat(POSITIONS[2:4], 2, axis=0)
    twice = Candidates(places + moved, np.repeat(STAGE1[2:4], 2, axis=0))
    found = doubts_of_run("TS_1", twice, fits, TYPES)
    assert len(found) == 3
    kept = most_doubtful(found, 2)
    assert [d.urgency for d in kept] == sorted(d.urgency for d in found)[:2]
    assert doubts_of_run("TS_1", Candidates.empty(2), fits, TYPES) == []


def test_a_class_that_keeps_nothing_is_in_no_doubt(candidates, fits):
    from dataclasses import replace

    none = replace(fits["two_stage"].thresholds[0], threshold=np.inf)
    shut = {s: replace(f, thresholds=(none, none)) for s, f in fits.items()}
    assert doubts_of_run("TS_1", candidates, shut, TYPES) == []

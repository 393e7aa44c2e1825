import dataclasses

import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report import ReportData, RunResult
from cryo_pick.report.data import weighted_types
from metrics import cut


def test_stages_cut_their_own_picks(data: ReportData) -> None:
    one, two = data.stages
    assert (one.key, two.key) == ("one", "two")
    for stage, name in ((one, "one_stage"), (two, "two_stage")):
        for result in data.runs:
            expected = cut(getattr(result, name), stage.thresholds)
            assert np.array_equal(stage.kept[result.run].scores, expected.scores)


def test_one_stage_alone(one_stage_data: ReportData) -> None:
    assert [s.key for s in one_stage_data.stages] == ["one"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds_one": np.array([0.5])}, "thresholds_one"),
        ({"thresholds_two": np.array([0.5, np.nan])}, "thresholds_two"),
        ({"thresholds_two": None}, "second stage in every run or in none"),
        ({"folds": {"R1": 0}}, "R2, R3"),
        ({"types": ParticleTypes(())}, "to have a class"),
        ({"types": ParticleTypes((ParticleType("a", 1, 50.0),)), "thresholds_one": np.ones(1),
          "thresholds_two": np.ones(1)}, "class indices of run 'R1' below 1"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    data: ReportData, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(data, **change)


def test_a_run_twice_is_refused(data: ReportData) -> None:
    twice = (RunResult("R", Picks.empty(), Picks.empty()),) * 2
    with pytest.raises(ValueError, match="distinct names"):
        dataclasses.replace(data, runs=twice, folds=None, thresholds_two=None)


def test_weights_that_are_all_zero_count_as_one(data: ReportData) -> None:
    types = ParticleTypes((ParticleType("a", 1, 50.0, 0.0), ParticleType("b", 2, 50.0, 0.0)))
    assert weighted_types(types).weights.tolist() == [1.0, 1.0]
    assert weighted_types(data.types) is data.types

import dataclasses

import numpy as np
import pytest

from cryo_pick.report import ReportData, headline
from metrics import cut, evaluate, nested_evaluation


def test_with_folds_the_score_is_nested(data: ReportData) -> None:
    found = headline(data)
    assert found is not None
    assert found.nested
    for stage, score in zip(data.stages, found.stages, strict=True):
        nested = nested_evaluation(stage.picks, data.truth, data.types, data.folds or {})
        assert score.score == nested.score
        assert score.one_to_one == nested.one_to_one.score
        assert score.low <= score.score <= score.high
        assert score.fitted == evaluate(stage.kept, data.truth, data.types).score
    assert found.difference is not None
    assert found.difference.value == pytest.approx(found.stages[1].score - found.stages[0].score)


def test_without_folds_the_score_is_at_the_given_thresholds(one_stage_data: ReportData) -> None:
    plain = dataclasses.replace(one_stage_data, folds=None)
    found = headline(plain)
    assert found is not None
    assert not found.nested
    assert found.difference is None
    kept = {r.run: cut(r.one_stage, np.array([0.45, 0.4])) for r in plain.runs}
    assert found.stages[0].score == evaluate(kept, plain.truth, plain.types).score


def test_one_fold_for_every_run_is_not_nested(data: ReportData) -> None:
    found = headline(dataclasses.replace(data, folds=dict.fromkeys(("R1", "R2", "R3"), 0)))
    assert found is not None
    assert not found.nested


def test_without_truth_there_is_none(unknown_data: ReportData) -> None:
    assert headline(unknown_data) is None

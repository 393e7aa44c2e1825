import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report import ReportData, RunResult, tables
from metrics import evaluate
from metrics.curves import hits_per_class

TYPES = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 100.0, 3.0)))


def report(truth: Picks, picks: Picks) -> ReportData:
    """One run, one stage, everything kept."""
    return ReportData("t", TYPES, (RunResult("R", truth, picks),), np.zeros(2))


def picks(*rows: tuple[float, int]) -> Picks:
    """Picks along x, far apart in y and z from nothing: (x, class)."""
    return Picks(np.array([[0.0, 0.0, x] for x, _ in rows]), np.array([c for _, c in rows]))


def test_class_rows_are_those_of_evaluate(data: ReportData) -> None:
    hits = {s.key: hits_per_class(s.picks, data.truth, data.types) for s in data.stages}
    rows = tables.class_rows(data, hits)
    for s, stage in enumerate(data.stages):
        scored = evaluate(stage.kept, data.truth, data.types)
        for k, name in enumerate(data.types.names):
            assert rows[k][s].official == scored.per_class[name]
            assert rows[k][s].one_to_one == scored.one_to_one.per_class[name]
            assert rows[k][s].best.f >= rows[k][s].official.fbeta() - 1e-12


def test_run_rows_add_up(data: ReportData) -> None:
    rows = tables.run_rows(data)
    for s, stage in enumerate(data.stages):
        whole = evaluate(stage.kept, data.truth, data.types).per_class.values()
        assert sum(r.counts[s].tp for r in rows) == sum(c.tp for c in whole)
        assert sum(r.n_kept[s] for r in rows) == sum(len(p) for p in stage.kept.values())
    assert [r.fold for r in rows] == [0, 1, 0]


def test_a_class_that_a_run_lacks_has_no_weight_there() -> None:
    row = tables.run_rows(report(picks((0, 0)), picks((0, 0), (500, 1))))[0]
    assert [i.whole.fbeta.value for i in row.intervals] == [1.0]
    assert row.intervals[0].whole.precision.value == 0.5  # of all picks, also of that class
    assert row.intervals[0].per_class[1].precision.value == 0.0
    assert tables.run_rows(report(picks(), picks((0, 0))))[0].intervals == ()


def test_a_run_is_scored_as_alone(data: ReportData) -> None:
    for row, result in zip(tables.run_rows(data), data.runs, strict=True):
        for stage, intervals in zip(data.stages, row.intervals, strict=True):
            truth = {result.run: result.truth}
            alone = evaluate({result.run: stage.kept[result.run]}, truth, data.types)
            assert intervals.whole.fbeta.value == pytest.approx(alone.score)
            for name, found in zip(data.types.names, intervals.per_class, strict=True):
                assert found.precision.value == pytest.approx(alone.per_class[name].precision)
                assert found.recall.low <= alone.per_class[name].recall <= found.recall.high


def test_confusion_says_what_picks_lie_on() -> None:
    truth = picks((0, 0), (500, 1), (1000, 1), (1500, 0))
    found = picks((5, 0), (8, 1), (510, 0), (1000, 1), (2500, 1))
    confusion = tables.confusion(report(truth, found))
    # a pick of class 0 on each of a and b; class 1 on b, on an a that has its pick, and on nothing
    assert confusion.table.tolist() == [[1, 0], [1, 1], [0, 1], [0, 1]]
    assert confusion.missed.tolist() == [1, 0]
    assert np.allclose(confusion.share.sum(axis=0), 1)


def test_the_diagonal_of_the_confusion_is_the_one_to_one_count(data: ReportData) -> None:
    stage = data.stages[-1]
    scored = evaluate(stage.kept, data.truth, data.types).one_to_one.per_class
    confusion = tables.confusion(data)
    assert np.diag(confusion.table).tolist() == [scored[n].tp for n in data.types.names]
    kept = np.concatenate([p.classes for p in stage.kept.values()])
    assert confusion.table.sum(axis=0).tolist() == np.bincount(kept, minlength=2).tolist()
    n_truth = np.bincount(np.concatenate([t.classes for t in data.truth.values()]))
    assert (confusion.table[:2].sum(axis=1) + confusion.missed).tolist() == n_truth.tolist()


def test_localization_has_one_entry_per_stage(data: ReportData) -> None:
    found = tables.localization(data)
    assert list(found) == list(data.types.names)
    for errors in found.values():
        one, two = (e.median for e in errors)
        assert one is not None
        assert two is not None
        assert two < one


def test_the_ceiling_puts_the_pairs_of_a_place_together(data: ReportData) -> None:
    found = tables.ceiling(data)
    n_places = sum(len(np.unique(r.one_stage.positions, axis=0)) for r in data.runs)
    assert found.candidates[0].sum() == n_places
    assert (found.hits_repaired >= found.hits).all()


def test_reliability_of_picks_that_are_right_as_often_as_they_say() -> None:
    truth = picks(*((1000.0 * i, 0) for i in range(10)))
    where = [1000.0 * i + (0 if i < 7 else 300) for i in range(10)]
    scored = Picks(np.array([[0, 0, x] for x in where]), np.zeros(10), np.full(10, 0.7))
    bins = tables.reliability({"R": scored}, {"R": truth}, TYPES)
    assert len(bins) == 1
    assert (bins[0].n, bins[0].share_hit) == (10, 0.7)
    assert abs(bins[0].mean_score - 0.7) < 1e-12


def test_masks_of_hits_and_misses() -> None:
    truth, found = picks((0, 0), (500, 1)), picks((20, 0), (21, 0), (500, 0))
    assert tables.hit_mask(found, truth, TYPES).tolist() == [True, False, False]
    assert tables.missed_mask(found, truth, TYPES).tolist() == [False, True]
    assert tables.missed_mask(Picks.empty(), truth, TYPES).all()
    assert tables.hit_mask(Picks.empty(), truth, TYPES).size == 0

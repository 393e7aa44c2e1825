import json

import numpy as np

from cryo_pick.inspect_project import (
    Inspection,
    RunFacts,
    check_picks,
    check_runs,
    class_facts,
)
from cryo_pick.normalize import IntensityStatistics
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.problem import NOTICE, PROBLEM
from cryo_pick.tomogram import Tomogram

TYPES = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 80.0, 0.0)))
TOMOGRAM = Tomogram(np.zeros((20, 20, 20), np.float32), (10.0,) * 3)


def facts(run: str = "R1", rows: tuple[tuple[float, int], ...] = (), **change: object) -> RunFacts:
    """A healthy run with picks along x: (x, class)."""
    picks = Picks(np.array([[50.0, 50.0, x] for x, _ in rows]), np.array([k for _, k in rows]))
    values = {
        "available": {10.0: ["denoised"]},
        "tomogram": TOMOGRAM,
        "intensity": IntensityStatistics(0.0, 1.0, ()),
        "picks": picks,
    } | change
    return RunFacts(run, **values)  # type: ignore[arg-type]


HEALTHY = [facts(run, ((20, 0), (60, 0), (150, 1))) for run in ("R1", "R2")]


def test_a_healthy_project_has_no_problem() -> None:
    assert check_runs(HEALTHY) == []
    assert check_picks(TYPES, HEALTHY) == []


def test_classes_are_counted() -> None:
    a, b = class_facts(TYPES, HEALTHY)
    assert (a.name, a.count, a.n_runs, a.nearest) == ("a", 4, 2, 40.0)
    assert (b.count, b.nearest) == (2, None)


def test_everything_wrong_with_runs_is_found_at_once() -> None:
    coarse = Tomogram(np.zeros((4, 4, 4), np.float32), (1.0,) * 3)
    flat = Tomogram(np.zeros((4, 4, 4), np.float32), (20.0, 10.0, 10.0))
    runs = [
        *HEALTHY,
        facts("empty", available={}, tomogram=None, intensity=None),
        facts("broken", tomogram=None, intensity=None, errors=("chunk 0.0.0 is truncated",)),
        facts("other", available={5.0: ["wbp"]}, tomogram=None, intensity=None),
        facts("unit", tomogram=coarse),
        facts("flat", tomogram=flat),
        facts("loud", intensity=IntensityStatistics(0.0, 100.0, ())),
    ]
    found = {(p.severity, p.where, p.what.split(":")[0]) for p in check_runs(runs)}
    assert found == {
        (PROBLEM, "empty", "no tomogram"),
        (PROBLEM, "broken", "chunk 0.0.0 is truncated"),
        (NOTICE, "other", "not the tomogram asked for"),
        (PROBLEM, "unit", "voxel spacing 1 Å"),
        (NOTICE, "flat", "voxels are no cubes"),
        (NOTICE, "loud", "intensities spread 1e+02 times as much as in the other runs"),
        (NOTICE, "project", "several voxel spacings, Å"),
        (NOTICE, "project", "several tomogram types"),
    }
    assert all(p.do for p in check_runs(runs))


def test_a_project_without_runs() -> None:
    assert [p.what for p in check_runs([])] == ["no run"]


def test_everything_wrong_with_picks_is_found_at_once() -> None:
    runs = [
        facts("R1", ((20, 0), (25, 0), (900, 0), (100, 1))),
        facts("R2", ((20, 0),)),
        facts("R3"),
    ]
    found = {(p.severity, p.where, p.what) for p in check_picks(TYPES, runs)}
    assert found == {
        (PROBLEM, "R1", "1 pairs of a picks closer than 10 Å: one particle picked twice"),
        (PROBLEM, "R1", "1 of 4 picks outside the volume (a)"),
        (PROBLEM, "b", "picked in one run only, so one fold of a cross-validation has none of it"),
        (NOTICE, "R3", "no picks"),
    }


def test_a_class_without_picks() -> None:
    three = ParticleTypes((*TYPES, ParticleType("c", 3, 50.0), ParticleType("d", 4, 50.0, 0.0)))
    found = [(p.severity, p.where) for p in check_picks(three, HEALTHY)]
    assert found == [(PROBLEM, "c"), (NOTICE, "d")]  # d has no weight


def test_a_project_to_predict_on_needs_no_picks() -> None:
    problems = check_picks(TYPES, [facts("R1"), facts("R2", picks=None)])
    assert [(p.severity, p.what) for p in problems] == [(NOTICE, "no picks at all")]


def test_an_inspection_is_json() -> None:
    runs = (facts("R1", ((20, 0),)), facts("R2", tomogram=None, intensity=None, picks=None))
    found = Inspection("P", TYPES, runs, class_facts(TYPES, runs), None, tuple(check_runs(runs)))
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["runs"][0]["picks"] == {"a": 1, "b": 0}
    assert read["runs"][1]["size"] is None
    assert read["alignment"] is None

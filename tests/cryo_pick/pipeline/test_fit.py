"""Fitting on candidates whose truth is known: what stage 2 is worth decides whether it is used."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle, read_bundle, write_bundle
from cryo_pick.pipeline.fit import fit_candidates
from cryo_pick.settings import FitSettings
from metrics.evaluate import evaluate
from metrics.thresholds import cut

TYPES = ParticleTypes((ParticleType("a", 1, 50.0), ParticleType("b", 2, 80.0, 2.0)))
SETTINGS = FitSettings(bootstrap=50)


def _scene(
    rng: np.random.Generator, stage2: str, n: int = 150
) -> tuple[dict[str, Candidates], dict[str, Picks]]:
    """Four runs of well-separated places; 40 % hold a particle that stage 1 sees dimly."""
    candidates, truth = {}, {}
    for run in ("r0", "r1", "r2", "r3"):
        grid = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3)
        positions = grid[rng.permutation(len(grid))[:n]] * 500.0
        label = rng.choice(3, n, p=[0.2, 0.2, 0.6])
        stage1 = rng.uniform(0.1, 0.6, (n, 2))
        inside = label < 2
        stage1[inside, label[inside]] += rng.uniform(0, 0.3, inside.sum())
        probability = np.full((n, 3), 0.15)
        known = label if stage2 == "perfect" else rng.integers(0, 3, n)
        probability[np.arange(n), known] = 0.7
        candidates[run] = Candidates(positions, stage1, probability, positions)
        truth[run] = Picks(positions[inside], label[inside])
    return candidates, truth


FOLDS = {"r0": 0, "r1": 1, "r2": 0, "r3": 1}


def test_a_perfect_second_stage_is_used_and_gives_perfect_picks() -> None:
    candidates, truth = _scene(np.random.default_rng(0), "perfect")
    outcome = fit_candidates(candidates, truth, TYPES, FOLDS, SETTINGS)
    assert all(e["stage2_used"] for e in outcome.evidence.values())
    fit = outcome.fits["two_stage"]
    kept = {r: cut(p, fit.cut) for r, p in outcome.picks["two_stage"].items()}
    assert evaluate(kept, truth, TYPES).score == pytest.approx(1.0)
    assert fit.f4["nested"] == pytest.approx(1.0)
    assert outcome.fits["one_stage"].f4["optimistic"] < 0.95


def test_a_second_stage_that_knows_nothing_does_no_harm() -> None:
    candidates, truth = _scene(np.random.default_rng(1), "noise")
    outcome = fit_candidates(candidates, truth, TYPES, FOLDS, SETTINGS)
    one, two = outcome.fits["one_stage"], outcome.fits["two_stage"]
    # Noise moves the nested score by chance only; stage 1's weight stays what it was.
    assert two.f4["nested"] == pytest.approx(one.f4["nested"], abs=0.02)
    np.testing.assert_allclose(two.blend.stage1, one.blend.stage1, rtol=0.2)
    assert (two.blend.stage2 < 0.1).all()


def test_nested_picks_do_not_depend_on_their_own_runs_truth() -> None:
    candidates, truth = _scene(np.random.default_rng(2), "perfect")
    before = fit_candidates(candidates, truth, TYPES, FOLDS, SETTINGS).nested["one_stage"]
    changed = truth | {"r0": Picks.empty(), "r2": Picks.empty()}
    after = fit_candidates(candidates, changed, TYPES, FOLDS, SETTINGS).nested["one_stage"]
    for run in ("r0", "r2"):
        np.testing.assert_array_equal(before[run].positions, after[run].positions)
    assert any(len(before[r]) != len(after[r]) for r in ("r1", "r3"))


def test_a_bundle_comes_back_as_it_was_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    candidates, truth = _scene(np.random.default_rng(3), "perfect")
    del truth["r3"]
    del candidates["r3"]
    truth = {r: t.of_class(0) for r, t in truth.items()}  # class b: no threshold keeps anything
    outcome = fit_candidates(candidates, truth, TYPES, FOLDS, SETTINGS)
    assert np.isinf(outcome.fits["one_stage"].cut[1])
    bundle = Bundle(
        TYPES, 10.0, "wbp", {"median": 0.0}, ("detector/fold0",), ("refiner/fold0",), outcome.fits,
        {"threshold": 0.1}, {"views": 1}, {"patch": 40, "views": 4, "batch_size": 64},
        outcome.evidence, {"r0": 0}, {"torch": "2"},
    )  # fmt: skip
    write_bundle(tmp_path, bundle)
    read = read_bundle(tmp_path)
    assert read.types == bundle.types
    assert (read.detectors, read.refiners) == (bundle.detectors, bundle.refiners)
    for stage, fit in bundle.fits.items():
        np.testing.assert_array_equal(read.fits[stage].cut, fit.cut)
        np.testing.assert_array_equal(read.fits[stage].blend.stage2, fit.blend.stage2)
        assert read.fits[stage].curves == fit.curves
        assert read.fits[stage].intervals == fit.intervals
    assert read.evidence == bundle.evidence

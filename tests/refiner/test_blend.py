"""The blend against a grid search, and picks against their rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from refiner.blend import SEPARATION, Blend, blended_scores, fit_blend, logit, scored_picks

TYPES = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 60.0)))
ONE = Blend(np.ones(2), np.zeros(2), np.zeros(2))
SHARE = st.floats(0, 1, width=32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def candidates(n=300, seed=0, help1=1.0, help2=1.0, moved=0.0):
    """Candidates 500 Å apart; a third is right for class 0. Each stage's logit knows it or not."""
    rng = np.random.default_rng(seed)
    positions = np.zeros((n, 3))
    positions[:, 2] = 500 * np.arange(n)
    right = rng.random(n) < 1 / 3
    stage1, stage2 = np.full((n, 2), 0.1), np.full((n, 3), 0.1)
    stage1[:, 0] = sigmoid(help1 * (right - 0.5) + rng.normal(0, 1, n))
    stage2[:, 0] = sigmoid(help2 * (right - 0.5) + rng.normal(0, 1, n))
    refined = positions + np.array([0, 0, moved])
    found = Candidates(positions, stage1, stage2, refined)
    truth = Picks(positions[right], np.zeros(right.sum(), int))
    return found, truth, right


def cost(weights, found, right, ridge=1e-3):
    """Mean negative log-likelihood with the ridge, written out."""
    a, b, c = weights
    p = sigmoid(a * logit(found.stage1[:, 0]) + b * logit(found.stage2[:, 0]) + c)
    likelihood = np.where(right, np.log(p), np.log(1 - p)).mean()
    return -likelihood + ridge / 2 * (a**2 + b**2)


def weights_of(blend, index=0):
    return blend.stage1[index], blend.stage2[index], blend.bias[index]


@pytest.mark.parametrize(("help1", "help2"), [(1, 1), (2, 0.5), (0, 2), (1.5, 0), (-1, 1), (1, -2)])
def test_no_other_weights_are_likelier(help1, help2):
    found, truth, right = candidates(help1=help1, help2=help2)
    best = weights_of(fit_blend({"r": found}, {"r": truth}, TYPES, two_stage=True))
    assert best[0] >= 0
    assert best[1] >= 0
    lowest = cost(best, found, right)
    rng = np.random.default_rng(1)
    near = np.array(best) + rng.normal(0, 0.1, (300, 3))
    far = rng.uniform([0, 0, -3], [4, 4, 3], (300, 3))
    for other in np.concatenate([near, far]):
        other[:2] = np.maximum(other[:2], 0)
        assert cost(other, found, right) >= lowest - 1e-9


def test_logits_that_generated_the_labels_are_found_again():
    """Labels drawn from sigmoid(1.5 logit(s1) + 0.5 logit(s2) - 1): the fit finds these numbers."""
    rng = np.random.default_rng(0)
    n = 20000
    first, second = rng.normal(0, 1.5, (2, n))
    right = rng.random(n) < sigmoid(1.5 * first + 0.5 * second - 1)
    positions = np.zeros((n, 3))
    positions[:, 2] = 500 * np.arange(n)
    stage1, stage2 = np.full((n, 2), 0.5), np.full((n, 3), 0.5)
    stage1[:, 0], stage2[:, 0] = sigmoid(first), sigmoid(second)
    found = Candidates(positions, stage1, stage2, positions)
    truth = Picks(positions[right], np.zeros(right.sum(), int))
    blend = fit_blend({"r": found}, {"r": truth}, TYPES, two_stage=True)
    assert weights_of(blend) == pytest.approx((1.5, 0.5, -1), abs=0.1)


def test_one_stage_looks_at_the_first_only():
    found, truth, _ = candidates()
    one = fit_blend({"r": found}, {"r": truth}, TYPES, two_stage=False)
    bare = Candidates(found.positions, found.stage1)
    again = fit_blend({"r": bare}, {"r": truth}, TYPES, two_stage=False)
    assert weights_of(one) == weights_of(again)
    assert one.stage2.tolist() == [0, 0]


def test_where_stage_two_misleads_the_blend_is_that_of_one_stage():
    """Refined positions are wrong too: they must not decide what counts as right."""
    found, truth, _ = candidates(help2=-2, moved=15.0)
    far = Candidates(found.positions, found.stage1, found.stage2, found.refined)
    both = fit_blend({"r": far}, {"r": truth}, TYPES, two_stage=True)
    one = fit_blend({"r": far}, {"r": truth}, TYPES, two_stage=False)
    assert both.stage2[0] == 0
    assert weights_of(both) == weights_of(one)


def test_right_is_within_half_a_radius_of_the_refined_place():
    just, truth, _ = candidates(moved=20.0)
    beyond = candidates(moved=20.01)[0]
    near, far = (fit_blend({"r": c}, {"r": truth}, TYPES, two_stage=True) for c in (just, beyond))
    assert near.stage2[0] > 0
    # Stage 2 moved every candidate away from its particle: nothing is right but where it was.
    one = fit_blend({"r": beyond}, {"r": truth}, TYPES, two_stage=False)
    assert weights_of(far) == weights_of(one)
    assert one.stage1[0] > 0


def test_a_class_without_evidence_keeps_stage_one():
    found, truth, _ = candidates()
    blend = fit_blend({"r": found}, {"r": truth}, TYPES, two_stage=True)
    assert weights_of(blend, 1) == (1, 0, 0)
    none = fit_blend({"r": Candidates.empty(2)}, {"r": truth}, TYPES, two_stage=True)
    assert weights_of(none) == (1, 0, 0)
    assert weights_of(fit_blend({}, {}, TYPES, two_stage=True)) == (1, 0, 0)


def test_runs_are_pooled_and_their_order_does_not_matter():
    a, truth_a, _ = candidates(seed=0)
    b, truth_b, _ = candidates(seed=1, n=100)
    truth = {"a": truth_a, "b": truth_b}
    first = fit_blend({"a": a, "b": b}, truth, TYPES, two_stage=True)
    second = fit_blend({"b": b, "a": a}, truth, TYPES, two_stage=True)
    assert weights_of(first) == pytest.approx(weights_of(second), abs=1e-4)


WEIGHT = st.floats(0, 5)


@given(WEIGHT, WEIGHT, st.floats(-3, 3), SHARE, SHARE, SHARE, SHARE)
def test_a_score_rises_with_either_stage(a, b, c, low, high, other_low, other_high):
    low, high = sorted((low, high))
    other_low, other_high = sorted((other_low, other_high))
    found = Candidates(
        np.zeros((2, 3)), [[low], [high]], [[other_low, 0], [other_high, 0]], np.zeros((2, 3))
    )
    scores = blended_scores(found, Blend(np.array([a]), np.array([b]), np.array([c])))
    assert scores.shape == (2, 1)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[0, 0] <= scores[1, 0] + 1e-12


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=10))
def test_stage_one_alone_is_a_special_case(values):
    found = Candidates(np.zeros((len(values), 3)), np.array([values] * 2).T)
    np.testing.assert_allclose(blended_scores(found, ONE)[:, 0], values, rtol=1e-5)


def test_a_blend_that_wants_stage_two_refuses_candidates_without_it():
    with pytest.raises(ValueError, match="before refinement"):
        blended_scores(Candidates.empty(2), Blend(np.ones(2), np.array([0, 0.1]), np.zeros(2)))


def test_logit_is_finite_at_both_ends():
    found = logit(np.array([0.0, 0.5, 1.0], np.float32))
    assert np.isfinite(found).all()
    assert found[1] == 0
    assert found[0] == pytest.approx(-found[2])


def test_taking_some_classes_from_another_blend():
    other = Blend(np.full(2, 7.0), np.full(2, 8.0), np.full(2, 9.0))
    mixed = ONE.taking_from(other, [1])
    assert weights_of(mixed, 0) == (1, 0, 0)
    assert weights_of(mixed, 1) == (7, 8, 9)
    assert weights_of(ONE, 1) == (1, 0, 0)
    assert weights_of(ONE.taking_from(other, []), 1) == (1, 0, 0)


def placed(xs, scores, refined=None):
    """Candidates on a line with stage-1 scores (n, 2); stage 2 says the same."""
    positions = np.array([[0, 0, x] for x in xs], float)
    scores = np.array(scores, float)
    if refined is None:
        return Candidates(positions, scores)
    stage2 = np.concatenate([scores, np.zeros((len(xs), 1))], 1)
    return Candidates(positions, scores, stage2, [[0, 0, x] for x in refined])


def test_a_candidate_is_one_pick_per_class_above_the_floor():
    found = scored_picks(placed([0, 500], [[0.9, 0.3], [0.2, 0.8]]), ONE, TYPES, 0.25)
    rows = {
        (x, c, round(float(s), 3))
        for (_, _, x), c, s in zip(found.positions, found.classes, found.scores, strict=True)
    }
    assert rows == {(0, 0, 0.9), (0, 1, 0.3), (500, 1, 0.8)}
    assert (np.diff(found.scores) <= 0).all()


def test_the_floor_is_inclusive():
    found = placed([0], [[0.5, 0.1]])
    assert len(scored_picks(found, ONE, TYPES, 0.5)) == 1
    assert len(scored_picks(found, ONE, TYPES)) == 2


def test_duplicates_within_three_quarters_of_a_radius_are_one():
    scores = [[0.9, 0.0], [0.8, 0.0]]
    near, far = SEPARATION * 40.0, SEPARATION * 40.0 + 0.1
    assert len(scored_picks(placed([0, near], scores), ONE, TYPES, 0.5)) == 1
    assert len(scored_picks(placed([0, far], scores), ONE, TYPES, 0.5)) == 2


def test_refined_positions_count_where_stage_two_does():
    found = placed([0, 100], [[0.9, 0.7], [0.8, 0.6]], refined=[48, 52])
    first_only = Blend(np.ones(2), np.array([1.0, 0.0]), np.zeros(2))
    picks = scored_picks(found, first_only, TYPES, 0.5)
    assert picks.of_class(0).positions[:, 2].tolist() == [48]  # met in the middle: duplicates
    assert picks.of_class(1).positions[:, 2].tolist() == [0, 100]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), SHARE, SHARE), max_size=12))
def test_picks_of_a_class_are_never_closer_than_the_rule(rows):
    found = (
        placed([10 * r[0] for r in rows], [r[1:] for r in rows]) if rows else Candidates.empty(2)
    )
    picks = scored_picks(found, ONE, TYPES)
    for index, radius in enumerate(TYPES.radii):
        x = np.sort(picks.of_class(index).positions[:, 2])
        assert (np.diff(x) > SEPARATION * radius).all()
        if rows:
            assert picks.of_class(index).scores.max() == blended_scores(found, ONE)[:, index].max()

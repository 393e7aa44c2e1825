import json

import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from metrics.ceiling import perfect_rescorer
from metrics.evaluate import evaluate
from tests.reference.czii_score import hits

TYPES = ParticleTypes((ParticleType("a", 1, 20.0, 1.0), ParticleType("b", 2, 40.0, 3.0)))


def scene():
    """Three candidates: right class, wrong class, nothing; one particle that none reaches."""
    positions = {"r": np.array([[0.0, 0, 0], [0, 0, 100], [0, 0, 200]])}
    scores = {"r": np.array([[0.9, 0.1], [0.5, 0.4], [0.1, 0.3]])}
    truth = {"r": Picks(np.array([[0.0, 0, 5], [0, 0, 110], [0, 0, 900]]), [0, 1, 1])}
    return positions, scores, truth


def test_repair_adds_the_particle_found_as_another_class():
    ceiling = perfect_rescorer(*scene(), TYPES)
    np.testing.assert_array_equal(ceiling.candidates, [[2, 1]])
    np.testing.assert_allclose(ceiling.recall(), [[1, 0]])
    np.testing.assert_allclose(ceiling.recall(repaired=True), [[1, 0.5]])
    np.testing.assert_allclose(ceiling.fbeta(repaired=True), [[1, 17 / 33]])
    np.testing.assert_allclose(ceiling.score(), [0.25])
    np.testing.assert_allclose(ceiling.score(repaired=True), [(1 + 3 * 17 / 33) / 4])


def test_each_threshold_admits_candidates_by_their_highest_score():
    ceiling = perfect_rescorer(*scene(), TYPES, thresholds=[0.2, 0.5, 0.51, 0.95])
    np.testing.assert_array_equal(ceiling.candidates, [[2, 1], [2, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(ceiling.hits[:, 0], [1, 1, 1, 0])
    np.testing.assert_array_equal(ceiling.hits_repaired[:, 1], [1, 1, 0, 0])


@pytest.mark.parametrize("seed", range(5))
def test_recall_equals_the_loops(seed):
    rng = np.random.default_rng(seed)
    positions = {f"r{i}": rng.integers(0, 120, (30, 3)).astype(float) for i in range(3)}
    scores = {run: rng.random((30, 2)) for run in positions}
    truth = {run: Picks(rng.integers(0, 120, (12, 3)), rng.integers(0, 2, 12)) for run in positions}
    levels = [0.0, 0.6, 0.8]
    ceiling = perfect_rescorer(positions, scores, truth, TYPES, levels)
    for row, level in enumerate(levels):
        for i, radius in enumerate(TYPES.radii / 2):
            own = repaired = 0
            for run, points in positions.items():
                admitted = scores[run].max(axis=1) >= level
                mine = admitted & (scores[run].argmax(axis=1) == i)
                real = truth[run].of_class(i).positions
                own += hits(points[mine], real, radius)
                repaired += hits(points[admitted], real, radius)
            assert ceiling.hits[row, i] == own
            assert ceiling.hits_repaired[row, i] == repaired


def test_no_choice_of_candidates_beats_the_ceiling():
    rng = np.random.default_rng(8)
    grid = np.argwhere(np.ones((4, 4, 1))) * 100.0
    truth = {"r": Picks(grid, np.arange(16) % 2)}
    candidates = grid[:12] + rng.integers(-8, 9, (12, 3))
    scores = rng.random((12, 2))
    ceiling = perfect_rescorer({"r": candidates}, {"r": scores}, truth, TYPES)
    for _ in range(50):
        kept = rng.random(12) < 0.7
        own = evaluate({"r": Picks(candidates, scores.argmax(axis=1))[kept]}, truth, TYPES).score
        moved = evaluate({"r": Picks(candidates, rng.integers(0, 2, 12))[kept]}, truth, TYPES).score
        assert own <= ceiling.score()[0] + 1e-12
        assert moved <= ceiling.score(repaired=True)[0] + 1e-12


def test_runs_without_candidates_and_classes_without_truth():
    truth = {"r": Picks(np.zeros((1, 3)), [0]), "empty": Picks.empty()}
    ceiling = perfect_rescorer({}, {}, truth, TYPES)
    np.testing.assert_array_equal(ceiling.n_truth, [1, 0])
    np.testing.assert_array_equal(ceiling.recall(repaired=True), [[0, 0]])


def test_json_lists_every_threshold():
    found = perfect_rescorer(*scene(), TYPES, [0.2, 0.5]).to_json()
    assert [row["threshold"] for row in found] == [0.2, 0.5]
    assert found[0]["candidates_per_run"] == 3.0
    assert found[0]["per_class"]["a"] == {
        "candidates": 2,
        "recall": 1.0,
        "recall_repaired": 1.0,
        "f4": 1.0,
        "f4_repaired": 1.0,
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_scores_that_do_not_go_with_the_positions_are_refused():
    positions, scores, truth = scene()
    scores["r"] = scores["r"][:2]
    with pytest.raises(ValueError, match=r"run 'r' to be \(3, 2\), but got shape \(2, 2\)"):
        perfect_rescorer(positions, scores, truth, TYPES)

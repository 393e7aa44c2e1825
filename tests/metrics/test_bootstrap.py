import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from metrics.bootstrap import (
    bootstrap_classes,
    bootstrap_score,
    bootstrap_thresholds,
    paired_bootstrap,
    resample,
)
from metrics.counts import Counts
from metrics.evaluate import evaluate
from metrics.matching import count_official
from metrics.thresholds import fit_thresholds

TYPES = ParticleTypes((ParticleType("a", 1, 10.0, 1.0), ParticleType("b", 2, 10.0, 2.0)))
N_RUNS = 6


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def scene(rng, hit_rate):
    """Truth of both classes in every run, and picks that hit it with a given chance."""
    truth, picks = {}, {}
    for i in range(N_RUNS):
        positions = np.argwhere(np.ones((5, 4, 1))) * 100.0
        truth[f"r{i}"] = Picks(positions, np.arange(20) % 2)
        moved = positions + np.where(rng.random(20) < hit_rate, 0.0, 40.0)[:, None]
        picks[f"r{i}"] = Picks(moved, np.arange(20) % 2, rng.random(20))
    return picks, truth


def test_every_resampling_draws_as_many_runs_as_there_are(rng):
    drawn = resample(N_RUNS, 200, rng)
    assert drawn.shape == (200, N_RUNS)
    assert (drawn.sum(axis=1) == N_RUNS).all()
    assert drawn.max() > 1


def test_interval_equals_scoring_each_resampling_by_hand(rng):
    picks, truth = scene(rng, 0.6)
    found = bootstrap_score(
        picks, truth, TYPES, np.random.default_rng(3), n_resamplings=50, confidence=0.8
    )
    scores = []
    for row in resample(N_RUNS, 50, np.random.default_rng(3)):
        again = [(f"{run}-{i}", run) for run, n in zip(truth, row, strict=True) for i in range(n)]
        scores.append(
            evaluate(
                {new: picks[run] for new, run in again},
                {new: truth[run] for new, run in again},
                TYPES,
            ).score
        )
    assert found.value == pytest.approx(evaluate(picks, truth, TYPES).score)
    low, high = np.quantile(scores, [0.1, 0.9], method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.low < found.value < found.high


def test_perfect_picks_leave_no_doubt(rng):
    _, truth = scene(rng, 1.0)
    found = bootstrap_score(truth, truth, TYPES, rng)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_a_set_does_not_differ_from_itself(rng):
    picks, truth = scene(rng, 0.6)
    same = paired_bootstrap(picks, picks, truth, TYPES, rng).score
    assert (same.value, same.low, same.high, same.probability) == (0.0, 0.0, 0.0, 0.5)


def test_a_clearly_better_set_is_found_better_and_the_sign_turns(rng):
    good, truth = scene(rng, 0.9)
    bad, _ = scene(rng, 0.5)
    ahead = paired_bootstrap(good, bad, truth, TYPES, np.random.default_rng(0))
    behind = paired_bootstrap(bad, good, truth, TYPES, np.random.default_rng(0))
    expected = evaluate(good, truth, TYPES).score - evaluate(bad, truth, TYPES).score
    assert ahead.score.value == pytest.approx(expected)
    assert ahead.score.low > 0
    assert ahead.score.probability > 0.99
    assert behind.score.value == pytest.approx(-expected)
    assert behind.score.probability == pytest.approx(1 - ahead.score.probability)


def test_a_gain_in_one_class_only_shows_there(rng):
    picks, truth = scene(rng, 0.5)
    better = {
        run: Picks.concatenate([truth[run].of_class(0), p.of_class(1)]) for run, p in picks.items()
    }
    found = paired_bootstrap(better, picks, truth, TYPES, rng)
    assert list(found.per_class) == ["a", "b"]
    assert found.per_class["a"].low > 0
    assert found.per_class["b"].value == 0.0
    assert found.score.value == pytest.approx(found.per_class["a"].value / 3)


def test_the_same_runs_are_drawn_for_both(rng):
    # B lacks the same two particles in every run: paired, the difference hardly varies, though the
    # scores of both vary a lot between runs.
    _, truth = scene(rng, 1.0)
    a = {run: t[np.arange(20 - 3 * i)] for i, (run, t) in enumerate(truth.items())}
    b = {run: p[np.arange(2, len(p))] for run, p in a.items()}
    paired = paired_bootstrap(a, b, truth, TYPES, np.random.default_rng(1)).score
    alone = bootstrap_score(a, truth, TYPES, np.random.default_rng(1))
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


@pytest.mark.parametrize("smoothing", [0.0, 0.05])
def test_threshold_interval_equals_fitting_each_resampling(rng, smoothing):
    picks, truth = scene(rng, 0.6)
    found = bootstrap_thresholds(
        picks, truth, TYPES, np.random.default_rng(3), smoothing=smoothing, n_resamplings=20
    )
    fitted = []
    for row in resample(N_RUNS, 20, np.random.default_rng(3)):
        again = [(f"{run}-{i}", run) for run, n in zip(truth, row, strict=True) for i in range(n)]
        chosen = fit_thresholds(
            {new: picks[run] for new, run in again},
            {new: truth[run] for new, run in again},
            TYPES,
            smoothing=smoothing,
        )
        fitted.append([c.threshold for c in chosen])
    low, high = np.quantile(fitted, [0.05, 0.95], axis=0, method="inverted_cdf")
    np.testing.assert_allclose([i.low for i in found], low, atol=1e-9)
    np.testing.assert_allclose([i.high for i in found], high, atol=1e-9)
    plain = fit_thresholds(picks, truth, TYPES, smoothing=smoothing)
    assert [i.value for i in found] == [c.threshold for c in plain]


def test_a_class_without_truth_has_an_infinite_interval(rng):
    picks, truth = scene(rng, 0.6)
    truth = {run: t.of_class(0) for run, t in truth.items()}
    found = bootstrap_thresholds(picks, truth, TYPES, rng, n_resamplings=10)[1]
    assert (found.value, found.low, found.high) == (np.inf, np.inf, np.inf)


def test_wrong_arguments_are_refused(rng):
    picks, truth = scene(rng, 0.6)
    with pytest.raises(ValueError, match="`n_runs` to be 1 or more, but got 0"):
        bootstrap_score({}, {}, TYPES, rng)
    with pytest.raises(ValueError, match="`n_resamplings` to be 1 or more"):
        bootstrap_score(picks, truth, TYPES, rng, n_resamplings=0)
    with pytest.raises(ValueError, match="`confidence` to be between 0 and 1, but got 90"):
        paired_bootstrap(picks, picks, truth, TYPES, rng, confidence=90)


def test_intervals_of_classes_are_those_of_summed_counts():
    """Against a loop that draws runs and adds their counts one by one."""
    rng = np.random.default_rng(5)
    types = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 40.0)))
    truth = {f"r{i}": Picks(rng.uniform(0, 400, (8, 3)), np.arange(8) % 2) for i in range(5)}
    picks = {
        run: Picks(
            np.concatenate([t.positions[:5], rng.uniform(0, 400, (4, 3))]),
            np.concatenate([t.classes[:5], [0, 0, 1, 1]]),
        )
        for run, t in truth.items()
    }
    found = bootstrap_classes(
        picks, truth, types, np.random.default_rng(1), n_resamplings=200, confidence=0.8
    )
    drawn = resample(5, 200, np.random.default_rng(1))
    for k, kind in enumerate(types):
        counts = [
            count_official(
                picks[r].of_class(k).positions, truth[r].of_class(k).positions, kind.radius / 2
            )
            for r in truth
        ]
        sums = []
        for row in drawn:
            total = Counts()
            for times, c in zip(row.tolist(), counts, strict=True):
                for _ in range(times):
                    total = total + c
            sums.append(total)
        whole = sum(counts, Counts())
        for name in ("fbeta", "precision", "recall"):
            interval = getattr(found[k], name)
            value = whole.fbeta() if name == "fbeta" else getattr(whole, name)
            each = [c.fbeta() if name == "fbeta" else getattr(c, name) for c in sums]
            low, high = np.quantile(each, [0.1, 0.9], method="inverted_cdf")
            assert (interval.value, interval.low, interval.high) == pytest.approx(
                (value, low, high)
            )

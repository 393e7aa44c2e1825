import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from metrics.localization import LocalizationError, localization_error, matched_distances

TYPES = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 40.0)))


def test_distances_of_known_shifts():
    truth = Picks(np.arange(5)[:, None] * [0.0, 0.0, 200.0], [0, 0, 0, 0, 1])
    shift = np.array([[3.0, 4, 0], [0, 0, 10], [0, 0, 20], [0, 0, 21], [1, 0, 0]])
    found = matched_distances(
        {"r": Picks(truth.positions + shift, truth.classes), "other": truth}, {"r": truth}, TYPES
    )
    assert sorted(found["a"].tolist()) == [5.0, 10.0, 20.0]  # 21 Å is out of reach
    assert found["b"].tolist() == [1.0]


def test_distances_of_all_runs_go_together():
    truth = Picks(np.zeros((1, 3)), [0])
    near = Picks(np.ones((1, 3)), [0])
    found = matched_distances({"x": near, "y": truth}, {"x": truth, "y": truth, "z": truth}, TYPES)
    np.testing.assert_allclose(found["a"], [np.sqrt(3), 0])


def test_summary():
    summary = localization_error(np.arange(101.0))
    assert summary == LocalizationError(101, pytest.approx(50.0), pytest.approx(95.0))
    assert localization_error(np.empty(0)) == LocalizationError(0, None, None)

"""What the tables of a training say, and that a terminal shows it."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.normalize import intensity_statistics
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import DataRun, Dataset
from cryo_pick.pipeline.tables import print_ceiling, print_dataset
from cryo_pick.tomogram import Tomogram
from metrics.ceiling import perfect_rescorer

VOLUME = np.random.default_rng(0).standard_normal((8, 8, 8), np.float32)


def dataset(n_runs: int) -> Dataset:
    """Run i has i + 1 picks of its one class."""
    runs = {}
    for i in range(n_runs):
        picks = Picks(np.full((i + 1, 3), 4.0), np.zeros(i + 1, np.int64))
        statistics = intensity_statistics(VOLUME)
        runs[f"r{i}"] = DataRun(Tomogram(VOLUME, (10.0,) * 3, run=f"r{i}"), statistics, picks, "")
    return Dataset(ParticleTypes((ParticleType("beta-galactosidase", 1, 90.0),)), runs)


@pytest.mark.parametrize(
    ("n_folds", "shown"),
    [(2, ["4/6", "6/4"]), (4, ["each of 4 folds", "6 to 9 / 1 to 4"])],
)
def test_every_word_of_the_picks_fits_a_terminal(
    n_folds: int, shown: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "100")
    print_dataset(dataset(4), {f"r{i}": i % n_folds for i in range(4)})
    out = capsys.readouterr().out
    for text in ["beta-galactosidase", "1 to 4", *shown]:
        assert text in out
    assert "…" not in out


def test_the_ceiling_of_a_second_stage_by_class_and_by_threshold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    types = ParticleTypes(
        (ParticleType("beta-galactosidase", 1, 90.0), ParticleType("virus-like-particle", 2, 135.0))
    )
    truth = Picks(np.array([[0.0] * 3, [500.0] * 3]), np.array([0, 1]))
    # The first particle is taken for the other class, the second is found at a low score only.
    places = {"r": np.array([[0.0] * 3, [500.0] * 3, [900.0] * 3])}
    scores = {"r": np.array([[0.2, 0.6], [0.0, 0.1], [0.0, 0.3]])}
    ceiling = perfect_rescorer(places, scores, {"r": truth}, types, (0.0, 0.25))
    print_ceiling(ceiling, 4.0, [0.125, 0.25])
    rows = {
        cells[0]: cells[1:]
        for line in capsys.readouterr().out.splitlines()
        if len(cells := [c.strip() for c in line.strip("│ ").split("│")]) == 6
    }
    assert rows == {
        "beta-galactosidase": ["0", "0.000", "0.125", "0.000", "1.000"],
        "virus-like-particle": ["3", "1.000", "0.250", "1.000", "1.000"],
        "all, 0 or more": ["3", "0.500", "0.188", "0.500", "1.000"],
        "all, 0.25 or more": ["2", "0.000", "", "0.000", "0.500"],
    }

"""What the tables of a training say, and that a terminal shows it."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.normalize import intensity_statistics
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import DataRun, Dataset
from cryo_pick.pipeline.tables import print_dataset
from cryo_pick.tomogram import Tomogram

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

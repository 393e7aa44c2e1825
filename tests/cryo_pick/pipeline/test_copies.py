"""Turned copies: tomogram and picks move together, and nothing of them is reported."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.coordinates import angstrom_to_index, index_to_angstrom
from cryo_pick.normalize import intensity_statistics
from cryo_pick.normalized import NormalizedVolume
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.copies import is_copy, original, turned, with_copies
from cryo_pick.pipeline.dataset import DataRun
from cryo_pick.pipeline.fit import fit_candidates
from cryo_pick.settings import FitSettings
from cryo_pick.tomogram import Tomogram

SPACING, ORIGIN = (10.0, 12.0, 8.0), (5.0, -3.0, 100.0)


@pytest.fixture
def run() -> DataRun:
    """Bright voxels at the picks of an oblong tomogram."""
    rng = np.random.default_rng(0)
    volume = rng.normal(0, 1, (6, 7, 9)).astype(np.float32)
    index = np.array([[0, 0, 0], [5, 6, 8], [2, 3, 1], [4, 0, 7]])
    volume[tuple(index.T)] = 50 + np.arange(4)
    statistics = intensity_statistics(volume)
    view = NormalizedVolume(volume, statistics)
    truth = Picks(index_to_angstrom(index, SPACING, ORIGIN), np.array([0, 1, 1, 0]))
    return DataRun(Tomogram(view, SPACING, ORIGIN, run="r"), statistics, truth, "r")


def test_a_pick_stays_on_its_voxel(run: DataRun) -> None:
    copy = turned(run)
    t = copy.tomogram
    assert t.shape == (6, 9, 7)
    index = angstrom_to_index(copy.truth.positions, t.voxel_spacing, t.origin)
    before = angstrom_to_index(run.truth.positions, SPACING, ORIGIN)
    np.testing.assert_allclose(index, index.round(), atol=1e-9)
    np.testing.assert_array_equal(
        t.volume[:][tuple(index.round().astype(int).T)],
        run.tomogram.volume[:][tuple(before.round().astype(int).T)],
    )
    np.testing.assert_array_equal(copy.truth.classes, run.truth.classes)


def test_four_quarter_turns_are_none(run: DataRun) -> None:
    copy = turned(turned(turned(turned(run))))
    np.testing.assert_array_equal(copy.tomogram.volume[:], run.tomogram.volume[:])
    np.testing.assert_allclose(copy.truth.positions, run.truth.positions)


def test_names(run: DataRun) -> None:
    names = [r.name for r in with_copies([run], copies=True)]
    assert [is_copy(n) for n in names] == [False, True]
    assert [original(n) for n in names] == ["r", "r"]
    assert with_copies([run], copies=False) == [run]


def test_copies_are_fitted_on_but_not_reported() -> None:
    types = ParticleTypes((ParticleType("a", 1, 50.0),))
    rng = np.random.default_rng(1)

    def scene(shift: float) -> tuple[Candidates, Picks]:
        places = np.arange(40)[:, None] * np.array([500.0, 0, 0])
        right = rng.random(40) < 0.4
        score = np.clip(rng.normal(0.3 + shift + 0.2 * right, 0.05), 0.01, 0.99)
        return Candidates(places, score[:, None]), Picks(places[right], np.zeros(right.sum(), int))

    scenes = {"r0": scene(0.0), "r1": scene(0.0)}
    copies = {"r0~turned": scene(0.2), "r1~turned": scene(0.2)}
    folds = {"r0": 0, "r1": 1, "r0~turned": 0, "r1~turned": 1}
    outcomes = []
    for chosen in (scenes, scenes | copies):
        candidates = {r: c for r, (c, _) in chosen.items()}
        truth = {r: t for r, (_, t) in chosen.items()}
        outcomes.append(fit_candidates(candidates, truth, types, folds, FitSettings(bootstrap=20)))
    plain, more = outcomes
    assert set(more.nested["one_stage"]) == set(more.picks["one_stage"]) == {"r0", "r1"}
    assert plain.fits["one_stage"].cut != more.fits["one_stage"].cut
    assert plain.fits["one_stage"].f4["optimistic"] >= more.fits["one_stage"].f4["optimistic"]

"""Patches with a bright voxel at the true centre: offset, label and heatmap must point at it."""

from dataclasses import replace

import numpy as np
import pytest

from cryo_pick.coordinates import index_to_angstrom
from cryo_pick.picks import Picks
from cryo_pick.settings import AugmentSettings
from detector.candidates import heatmap_candidates
from detector.heatmap import Heatmap, heatmap_to_voxel_index
from detector.settings import CandidatesSettings
from refiner.sampling import PatchSampler, RefinerRun, stage1_at
from refiner.settings import RefinerSettings
from tests.refiner.scenes import ORIGIN, RADII, SPACING, STRIDE, TYPES, scene

MOVES = AugmentSettings(scale=0, shift=0, noise=0)
NONE = AugmentSettings(flip=False, rot90=False, scale=0, shift=0, noise=0)
PATCH = 12


def sampler(runs, augment=MOVES, seed=0, **changed):
    values = {"patch": PATCH, "jitter": 15.0, "truth_share": 0.25, "reach": 0.6}
    return PatchSampler(runs, RADII, RefinerSettings(**values | changed), augment, seed)


@pytest.mark.parametrize("truth_share", [0.0, 1.0])
def test_an_offset_leads_from_the_middle_of_the_patch_to_the_particle(truth_share):
    """Over all symmetries: the bright voxel is where offset says, in Å, zyx."""
    run = scene()
    batch = sampler([run], truth_share=truth_share).batch(0, 150)
    assert batch["patch"].shape == (150, 1, PATCH, PATCH, PATCH)
    assert batch["heatmap"].shape == (150, 2, PATCH // STRIDE, PATCH // STRIDE, PATCH // STRIDE)
    hits, directions = 0, set()
    for patch, offset, label in zip(
        batch["patch"][:, 0], batch["offset"], batch["label"], strict=True
    ):
        if label == 2:
            continue
        bright = np.argwhere(patch == label + 1)
        assert len(bright) >= 1
        found = (bright - (PATCH - 1) / 2) * SPACING
        assert np.abs(found - offset).max(1).min() < 1e-3
        directions.add(tuple(np.sign(offset)))
        hits += 1
    assert hits >= 40
    assert len(directions) >= 8


def test_the_heatmap_moves_with_the_patch():
    """The heatmap is the volume's mean over each cell, so it stays that under any symmetry."""
    run = scene()
    batch = sampler([run]).batch(1, 60)
    for patch, heatmap in zip(batch["patch"][:, 0], batch["heatmap"], strict=True):
        cells = patch.reshape(6, 2, 6, 2, 6, 2)
        np.testing.assert_allclose(heatmap[0], (cells == 1).any((1, 3, 5)), atol=1e-6)


def test_labels_are_of_the_candidate_and_not_of_the_jittered_patch():
    run = scene()
    batch = sampler([run], NONE, truth_share=0.0, jitter=30.0).batch(0, 200)
    # Candidates alternate between a particle and nothing; scores tell which one it was.
    from_hit = batch["stage1"].max(1) > 0.5
    assert from_hit.any()
    assert (~from_hit).any()
    assert ((batch["label"] < 2) == from_hit).all()


def test_classes_of_true_positions_are_even():
    """Five particles of class 0 for one of class 1."""
    labels = sampler([scene()], truth_share=1.0, jitter=0.0).batch(0, 400)["label"]
    assert (labels == 1).mean() == pytest.approx(0.5, abs=0.1)
    assert (labels == 2).mean() < 0.05


def test_the_share_of_true_positions():
    run = scene()
    empty = RefinerRun(
        run.volume, run.heatmap * 0, run.stride, run.places, run.stage1, run.truth, SPACING, ORIGIN
    )
    # Candidates keep their scores; true positions find an empty heatmap.
    stage1 = sampler([empty], truth_share=0.3).batch(0, 500)["stage1"]
    assert (stage1 == 0).all(1).mean() == pytest.approx(0.3, abs=0.07)


def test_a_batch_is_a_function_of_seed_step_and_rank():
    run, augment = scene(), AugmentSettings()
    first, again = sampler([run], augment), sampler([run], augment)
    first.batch(3, 4)
    a, b = first.batch(5, 4), again.batch(5, 4)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    for other in (
        again.batch(6, 4),
        again.batch(5, 4, rank=1),
        sampler([run], augment, seed=1).batch(5, 4),
    ):
        assert not np.array_equal(a["patch"], other["patch"])


def test_a_true_position_has_the_scores_that_its_candidate_would_have():
    run = scene()
    candidates = heatmap_candidates(
        Heatmap(run.heatmap, STRIDE), SPACING, ORIGIN, CandidatesSettings(threshold=0.5), TYPES
    )
    assert len(candidates) == len(run.truth)
    np.testing.assert_allclose(stage1_at(run, candidates.positions), candidates.stage1)
    # A little beside it, as a jittered true position is: 11 Å lead into the next cell of 20 Å.
    beside = candidates.positions + np.array([0.0, 0.0, 11.0])
    np.testing.assert_allclose(stage1_at(run, beside), candidates.stage1)
    beyond = candidates.positions + np.array([0.0, 0.0, 21.0])
    assert (stage1_at(run, beyond) == 0).all()


def test_stage1_far_outside_is_that_of_the_border():
    heatmap = np.zeros((2, 4, 4, 4), np.float16)
    heatmap[1, 0, 0, 0] = 1
    run = RefinerRun(
        np.zeros((8, 8, 8), np.float32), heatmap, 2, np.empty((0, 3)),
        np.empty((0, 2), np.float32), Picks.empty(), (10.0, 10.0, 10.0),
    )  # fmt: skip
    corner = index_to_angstrom(heatmap_to_voxel_index([0, 0, 0], 2), run.voxel_spacing)
    found = stage1_at(run, np.array([corner, corner - 1000, corner + 1000]))
    assert found.tolist() == [[0, 1], [0, 1], [0, 0]]
    assert found.dtype == np.float32


def test_runs_without_candidates_are_refused():
    run = scene()
    none = RefinerRun(
        run.volume, run.heatmap, 2, np.empty((0, 3)), np.empty((0, 2)), run.truth, SPACING, ORIGIN
    )
    with pytest.raises(ValueError, match="at least one candidate"):
        sampler([none])
    assert sampler([none, run], truth_share=0.0).batch(0, 2)["label"].shape == (2,)


def test_places_that_a_person_judged_are_drawn_with_the_label_that_the_truth_gives_them():
    run = scene()
    empty = index_to_angstrom([[16, 30, 8]], SPACING, ORIGIN)
    judged = np.concatenate([run.truth.positions[:1], empty])
    reviewed = replace(run, reviewed=judged)
    batch = sampler([reviewed], NONE, review_share=1.0, truth_share=0.0, jitter=0.0).batch(0, 80)
    labels = batch["label"]
    assert set(labels.tolist()) == {0, 2}
    for patch, label in zip(batch["patch"][:, 0], labels, strict=True):
        assert (patch == 1).any() == (label == 0)
    # Without a review nothing is drawn otherwise than before.
    one, other = (sampler([run], review_share=s).batch(0, 20) for s in (0.0, 0.9))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_class_weights_favour_the_rare_and_have_mean_one_over_samples():
    run = scene()
    made = sampler([run], NONE, truth_share=0.0)
    frequency = np.array([5, 1, 3]) / 9  # five particles of a, one of b, three places of nothing
    np.testing.assert_allclose(made.class_weights @ frequency, 1)
    np.testing.assert_allclose(made.class_weights**-2 / (made.class_weights**-2).sum(), frequency)
    even = sampler([run], NONE, truth_share=1.0).class_weights
    np.testing.assert_allclose(even[0], even[1])

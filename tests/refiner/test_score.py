"""Scoring with networks whose answer is known: the brightest voxel of the patch they are shown."""

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.candidates import Candidates
from refiner.engine import OFFSET_UNIT
from refiner.engine_torch import TorchPatchEngine
from refiner.networks.patch_net import build
from refiner.score import score_candidates
from tests.refiner.scenes import ORIGIN, SPACING, STRIDE, scene

PATCH = 12
CPU = torch.device("cpu")


class Brightest(nn.Module):
    """Offset from the middle to the brightest voxel; logits as stage 1 says, none in between."""

    def __init__(self, spacing=10.0, extra=0.0):
        super().__init__()
        self.spacing, self.extra = spacing, extra

    def forward(self, patch, heatmap, stage1):
        size = patch.shape[-1]
        flat = patch.flatten(1).argmax(1)
        index = torch.stack([flat // size**2, flat // size % size, flat % size], 1)
        offset = (index - (size - 1) / 2) * self.spacing / OFFSET_UNIT
        none = torch.full((len(patch), 1), 0.5)
        return torch.cat([stage1, none], 1) * 4 + self.extra, offset


class Asymmetric(nn.Module):
    """An answer that depends on the orientation, so that views differ."""

    def forward(self, patch, heatmap, stage1):
        half = patch.shape[-1] // 2
        low = patch[:, 0, :half].mean((1, 2, 3))
        right = heatmap[:, :, :, :, 3:].mean((1, 2, 3, 4))
        logits = torch.stack([low * 50, right * 50, torch.zeros_like(low)], 1)
        return logits, torch.stack([low, right, low], 1)


def score(members, places=None, stage1=None, views=1, batch_size=4, run=None, **changed):
    run = run or scene()
    candidates = Candidates(
        run.places if places is None else places, run.stage1 if stage1 is None else stage1
    )
    return score_candidates(
        candidates, run.volume, run.heatmap, run.stride, SPACING, ORIGIN,
        [TorchPatchEngine(m, CPU) for m in members],
        **{"patch": PATCH, "views": views, "batch_size": batch_size} | changed,
    )  # fmt: skip


@pytest.mark.parametrize("views", [1, 2, 4, 8])
def test_a_candidate_moves_to_the_truth_from_every_view(views):
    run = scene()
    scored = score([Brightest()], views=views)
    np.testing.assert_allclose(scored.refined[:6], run.truth.positions, atol=1e-3)
    np.testing.assert_array_equal(scored.positions, run.places)
    np.testing.assert_array_equal(scored.stage1, run.stage1)


@pytest.mark.parametrize("views", [1, 2, 4, 8])
def test_probabilities_are_of_the_members_logits(views):
    run = scene()
    logits = np.concatenate([run.stage1, np.full((9, 1), 0.5)], 1) * 4
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    scored = score([Brightest()], views=views)
    np.testing.assert_allclose(scored.stage2, expected, atol=1e-6)
    assert scored.stage2.dtype == np.float32


def test_views_and_members_are_averaged():
    one, two = score([Asymmetric()]), score([Asymmetric()], views=2)
    assert np.abs(one.stage2 - two.stage2).max() > 1e-4
    members = [Asymmetric(), Brightest()]
    both, parts = score(members), [score([m]) for m in members]
    np.testing.assert_allclose(both.stage2, (parts[0].stage2 + parts[1].stage2) / 2, atol=1e-6)
    np.testing.assert_allclose(both.refined, (parts[0].refined + parts[1].refined) / 2, atol=1e-3)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_a_mirrored_tomogram_has_mirrored_answers(views):
    """Views form a group, so showing the whole run from one of them changes nothing."""
    run = scene()
    # Half a turn about z, of an even grid whose middle is kept in place.
    turned = type(run)(
        run.volume[:, ::-1, ::-1].copy(), run.heatmap[:, :, ::-1, ::-1].copy(), STRIDE, run.places,
        run.stage1, run.truth, SPACING, ORIGIN,
    )  # fmt: skip
    middle = np.array(ORIGIN) + (np.array(run.volume.shape) - 1) / 2 * SPACING
    starts = np.array([[2, 4, 6], [10, 20, 30], [8, 8, 8.0]])  # patches on the heatmap's grid
    places = np.array(ORIGIN) + (starts + (PATCH - 1) / 2) * SPACING
    mirrored = (places - middle) * [1, -1, -1] + middle
    stage1 = np.full((3, 2), 0.5, np.float32)
    a = score([Asymmetric()], places, stage1, views)
    b = score([Asymmetric()], mirrored, stage1, views, run=turned)
    np.testing.assert_allclose(a.stage2, b.stage2, atol=1e-6)
    np.testing.assert_allclose((b.refined - middle) * [1, -1, -1] + middle, a.refined, atol=1e-3)


def test_batches_and_order_change_nothing():
    torch.manual_seed(0)
    member = build(2, channels=[8], blocks=[1]).eval()
    whole = score([member], batch_size=100)
    for batch_size in (1, 2, 5):
        parts = score([member], batch_size=batch_size)
        np.testing.assert_allclose(parts.stage2, whole.stage2, atol=1e-5)
        np.testing.assert_allclose(parts.refined, whole.refined, atol=1e-3)
    run, order = scene(), np.random.default_rng(0).permutation(9)
    shuffled = score([member], run.places[order], run.stage1[order], batch_size=4)
    np.testing.assert_allclose(shuffled.stage2, whole.stage2[order], atol=1e-5)
    np.testing.assert_allclose(shuffled.refined, whole.refined[order], atol=1e-3)


def test_progress_counts_every_candidate_once():
    done = []
    score([Brightest()], batch_size=4, on_batch=done.append)
    assert done == [4, 4, 1]


def test_no_candidates():
    scored = score([Brightest()], np.empty((0, 3)), np.empty((0, 2), np.float32))
    assert scored.stage2.shape == (0, 3)
    assert scored.refined.shape == (0, 3)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="1, 2, 4 or 8, but got 3"):
        score([Brightest()], views=3)
    with pytest.raises(ValueError, match="at least one network"):
        score([])
    with pytest.raises(ValueError, match="multiples of 2"):
        score([Brightest()], patch=11)

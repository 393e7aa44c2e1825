"""Every loss of the package, found by name."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.parts import build_part, find_part, part_names
from detector.class_targets import with_background
from detector.losses.balanced_mse import balanced_mse
from detector.losses.cross_entropy import cross_entropy
from detector.losses.points import assign, cell_grid, likeness, varifocal
from detector.losses.tversky_ce import tversky
from detector.losses.weighted_mse import weighted_mse

EVERY = part_names("detector.losses")
LOSSES = [n for n in EVERY if find_part("detector.losses", n, "loss").OUTPUT == "heatmap"]
SOFTMAX = [n for n in EVERY if find_part("detector.losses", n, "loss").OUTPUT == "probabilities"]


@pytest.fixture
def target():
    return torch.rand(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_is_lost_where_the_output_is_the_target(name, target):
    loss = build_part("detector.losses", name, {}, "loss")
    perfect = loss(target, target)
    assert perfect.ndim == 0
    assert perfect.item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_any_difference_costs_and_pulls_the_right_way(name, target):
    loss = build_part("detector.losses", name, {}, "loss")
    for difference in (-0.2, 0.2):
        output = (target + difference).requires_grad_()
        value = loss(output, target)
        value.backward()
        assert value.item() > 0
        assert torch.isfinite(output.grad).all()
        assert (output.grad * difference > 0).all()


def test_weighted_mse_against_numbers_by_hand():
    output, target = torch.tensor([0.5, 0.25]), torch.tensor([1.0, 0.0])
    # (20 + 0.2) 0.25 = 5.05 and 0.2 / 16 = 0.0125
    assert weighted_mse(output, target, 20.0, 0.2).item() == pytest.approx((5.05 + 0.0125) / 2)
    built = build_part("detector.losses", "weighted_mse", {"positive": 1.0, "floor": 0.0}, "loss")
    assert built(output, target).item() == pytest.approx(0.125)


@given(st.floats(0, 1), st.floats(0.01, 1))
def test_a_miss_costs_more_than_a_false_alarm_as_far_off(floor, off):
    one, zero = torch.tensor([1.0]), torch.tensor([0.0])
    miss = weighted_mse(one - off, one, 20.0, floor)
    false = weighted_mse(zero + off, zero, 20.0, floor)
    assert miss.item() > false.item()


def one_hot(seed=0, k=3, shape=(2, 4, 4, 4)):
    """Targets of at most one class a cell, (b, k, d, h, w)."""
    labels = torch.randint(0, k + 1, shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(labels, k + 1).movedim(-1, 1)[:, 1:].float()


@pytest.mark.parametrize("name", SOFTMAX)
def test_sure_and_right_costs_next_to_nothing_and_wrong_a_lot(name):
    loss, target = build_part("detector.losses", name, {}, "loss"), one_hot()
    right = 20 * with_background(target)
    assert 0 <= loss(right, target).item() < 1e-3
    assert loss(right.roll(1, 1), target).item() > 1
    nothing = torch.zeros_like(target)
    assert loss(20 * with_background(nothing), nothing).item() < 1e-3


def test_balanced_mse_by_hand():
    output, target = torch.tensor([0.5, 0.25, 0.5]), torch.tensor([1.0, 0.0, 0.0])
    output, target = (x.reshape(1, 1, 1, 1, 3) for x in (output, target))
    # particles: 0.25 / 1, background: (0.0625 + 0.25) / 2
    found = balanced_mse(output, target, 0.5).item()
    assert found == pytest.approx(0.5 * 0.25 + 0.5 * 0.15625)


def test_balance_does_not_depend_on_how_much_background_there_is():
    target = torch.zeros(1, 1, 1, 1, 4)
    target[..., 0] = 1
    wide = torch.cat([target, torch.zeros(1, 1, 1, 1, 96)], -1)
    assert balanced_mse(target + 0.3, target, 0.5).item() == pytest.approx(
        balanced_mse(wide + 0.3, wide, 0.5).item(), rel=1e-5
    )


def test_cross_entropy_against_torchs():
    target = one_hot()
    logits = torch.randn(2, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = with_background(target).argmax(1)
    weight = torch.tensor([1.0, 64.0, 64.0, 64.0])
    each = torch.nn.functional.cross_entropy(logits, labels, weight, reduction="none")
    found = cross_entropy(logits, target, 64.0, 1.0)
    torch.testing.assert_close(found, each.mean())


def test_cross_entropy_is_linear_in_mixed_targets():
    a, b = one_hot(0), one_hot(1)
    logits = torch.randn(2, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    mixed = cross_entropy(logits, 0.3 * a + 0.7 * b, 64.0, 1.0)
    apart = 0.3 * cross_entropy(logits, a, 64.0, 1.0) + 0.7 * cross_entropy(logits, b, 64.0, 1.0)
    torch.testing.assert_close(mixed, apart)


def test_tversky_by_hand_and_a_miss_costs_more_than_a_false_alarm():
    target = torch.zeros(1, 1, 1, 1, 100)
    target[..., :50] = 1
    found = torch.full((1, 2, 1, 1, 100), 0.0)
    found[:, 1, ..., :40], found[:, 0, ..., 40:] = 50, 50  # 40 hit, 10 missed
    particles = 1 - 41 / (40 + 0.7 * 10 + 1)
    background = 1 - 51 / (50 + 0.3 * 10 + 1)
    assert tversky(found, target, 0.3, 0.7).item() == pytest.approx(
        (particles + background) / 2, rel=1e-5
    )
    more = torch.full((1, 2, 1, 1, 100), 0.0)
    more[:, 1, ..., :60], more[:, 0, ..., 60:] = 50, 50  # 10 false alarms
    only_class = [
        1 - 41 / (40 + 0.7 * 10 + 1),
        1 - 51 / (50 + 0.3 * 10 + 1),
    ]
    assert only_class[0] > only_class[1]
    assert tversky(more, target, 0.3, 0.7).item() > 0


@pytest.mark.parametrize("name", EVERY)
def test_a_class_that_is_not_annotated_teaches_nothing(name):
    """Whatever is said about it, its channel has no gradient, and the other one has."""
    part = find_part("detector.losses", name, "loss")
    loss = build_part("detector.losses", name, {}, "loss")
    extra = {"heatmap": 0, "probabilities": 1, "points": 3}[part.OUTPUT]
    output = torch.randn(1, 2 + extra, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    output.requires_grad_()
    if part.OUTPUT == "points":
        target = torch.tensor([[[1.0, 2, 2, 0, 2, 2, 2]]])
    else:
        target = one_hot(0, 2, (1, 4, 4, 4))
        target[:, 1] = 0  # seen by nobody, so nobody marked it
    loss(output, target, torch.tensor([[1.0, 0.0]])).backward()
    first = 1 if part.OUTPUT == "probabilities" else 0
    assert output.grad[:, first].abs().max() > 0
    assert output.grad[:, first + 1].abs().max() == 0
    before = loss(output, target, torch.tensor([[1.0, 0.0]])).item()
    with torch.no_grad():
        output[:, first + 1] += 3
    assert loss(output, target, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(before)


@pytest.mark.parametrize("name", EVERY)
def test_all_annotated_is_as_if_nothing_was_said(name):
    part = find_part("detector.losses", name, "loss")
    loss = build_part("detector.losses", name, {}, "loss")
    extra = {"heatmap": 0, "probabilities": 1, "points": 3}[part.OUTPUT]
    output = torch.randn(2, 3 + extra, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    target = one_hot()
    if part.OUTPUT == "points":
        target = torch.tensor([[[1.0, 2, 2, 0, 2, 2, 2]], [[-1.0] * 7]])
    torch.testing.assert_close(loss(output, target, torch.ones(2, 3)), loss(output, target, None))


def test_likeness_by_hand():
    alike = likeness(
        torch.tensor([[0.0, 0, 0], [0, 0, 2]]), torch.zeros(1, 3), torch.full((1, 3), 2.0)
    )
    torch.testing.assert_close(alike, torch.tensor([[1.0, np.exp(-0.5)]], dtype=torch.float32))


def assign_slowly(scores, points, particles, top, least, power):
    """The rule of `assign`, particle by particle and cell by cell."""
    n = points.shape[0]
    alike = np.array([[np.exp(-0.5 * sum(((points[j] - p[:3]) / p[4:]) ** 2)) for j in range(n)]
                      for p in particles])  # fmt: skip
    aligned = np.array([scores[int(p[3])] for p in particles]) * alike**power
    wants = [set() for _ in particles]
    for i, row in enumerate(aligned):
        best = np.argsort(-np.where(alike[i] >= least, row, 0), kind="stable")[:top]
        wants[i] = {int(j) for j in best if alike[i, j] >= least and row[j] > 0}
    owner = {}
    for j in range(n):
        takers = [i for i in range(len(particles)) if j in wants[i]]
        if takers:
            owner[j] = max(takers, key=lambda i: (alike[i, j], -i))
    wanted = np.zeros_like(scores)
    for i in range(len(particles)):
        own = [j for j, o in owner.items() if o == i]
        if own:
            scale = max(alike[i, j] for j in own) / max(aligned[i, j] for j in own)
            for j in own:
                wanted[int(particles[i][3]), j] = aligned[i, j] * scale
    return owner, wanted


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_assignment_against_the_rule_written_out(seed, n_particles, top):
    rng = np.random.default_rng(seed)
    points = cell_grid((3, 3, 4)).numpy() + rng.uniform(-1, 1, (36, 3))
    scores = rng.uniform(0.01, 0.99, (2, 36))
    particles = np.concatenate([
        rng.uniform(0, 3, (n_particles, 3)), rng.integers(0, 2, (n_particles, 1)),
        rng.uniform(0.5, 2, (n_particles, 3)),
    ], 1)  # fmt: skip
    owner, wanted = assign_slowly(scores, points, particles, top, 0.05, 6.0)
    found = assign(*(torch.from_numpy(x) for x in (scores, points, particles)), top, 0.05, 6.0)
    assert dict(zip(found.cells.tolist(), found.particles.tolist(), strict=True)) == owner
    np.testing.assert_allclose(found.scores.numpy(), wanted, rtol=1e-6, atol=1e-12)


def test_varifocal_by_hand():
    logits = torch.tensor([0.0, 0.0])  # scores of 1/2
    wanted = torch.tensor([0.8, 0.0])
    entropy = np.log(2)
    expected = 0.8 * entropy + 0.75 * 0.5**2 * entropy
    assert varifocal(logits, wanted, 0.75, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_points_loss_falls_as_points_come_closer():
    loss = build_part("detector.losses", "points", {}, "loss")
    target = torch.tensor([[[2.4, 2.0, 2.0, 0, 2.0, 2.0, 2.0]]])
    output = torch.full((1, 1 + 3, 5, 5, 5), -6.0)
    output[:, 1:] = 0
    output[0, 0, 2, 2, 2] = 4.0
    near = output.clone()
    near[0, 1, 2, 2, 2] = 0.4
    assert loss(near, target).item() < loss(output, target).item()
    assert loss(output.index_fill(1, torch.tensor([0]), -6.0), target).item() > loss(near, target)


def test_points_loss_without_particles_only_wants_silence():
    loss = build_part("detector.losses", "points", {}, "loss")
    output = torch.zeros(1, 5, 3, 3, 3, requires_grad=True)
    loss(output, torch.full((1, 1, 7), -1.0)).backward()
    assert (output.grad[:, :2] > 0).all()
    assert (output.grad[:, 2:] == 0).all()

import math

import pytest
import torch

from refiner.losses import mixed, refiner_loss

OFFSETS = torch.tensor([[1.0, 2.0, 3.0], [9.0, 9.0, 9.0]])


def loss(logits, offsets, label, targets, weight=0.5, smoothing=0.0):
    found = refiner_loss(
        logits,
        offsets,
        torch.tensor(label),
        targets,
        offset_weight=weight,
        label_smoothing=smoothing,
    )
    return {name: value.item() for name, value in found.items()}


def test_no_loss_when_all_is_right():
    logits = torch.tensor([[50.0, 0.0, 0.0], [0.0, 0.0, 50.0]])
    assert loss(logits, OFFSETS, [0, 2], OFFSETS)["loss"] == pytest.approx(0, abs=1e-6)


def test_numbers_by_hand():
    logits = torch.zeros(2, 3)
    found = loss(logits, OFFSETS, [0, 1], OFFSETS + torch.tensor([[0.5, 0, 3], [0, 0, 0]]))
    assert found["classification"] == pytest.approx(math.log(3))
    # Huber: 0.5²/2 and 3 - 1/2, over two particles
    assert found["location"] == pytest.approx((0.125 + 2.5) / 2)
    assert found["loss"] == pytest.approx(math.log(3) + 0.5 * found["location"])


def test_the_offset_of_nothing_does_not_count():
    logits = torch.zeros(2, 3)
    a = loss(logits, OFFSETS, [0, 2], torch.zeros(2, 3))
    b = loss(logits, OFFSETS, [0, 2], torch.tensor([[0.0, 0, 0], [77, 77, 77]]))
    assert a == b
    assert a["location"] == pytest.approx(0.5 + 1.5 + 2.5)


def test_a_batch_of_nothing_has_no_location_loss_and_finite_gradients():
    logits, offsets = torch.zeros(2, 3, requires_grad=True), OFFSETS.clone().requires_grad_()
    found = refiner_loss(logits, offsets, torch.tensor([2, 2]), OFFSETS + 1, offset_weight=1.0)
    found["loss"].backward()
    assert found["location"].item() == 0
    assert (offsets.grad == 0).all()
    assert torch.isfinite(logits.grad).all()


def test_smoothing_costs_the_certain():
    logits = torch.tensor([[50.0, 0.0, 0.0]])
    certain = [loss(logits, OFFSETS[:1], [0], OFFSETS[:1], smoothing=s)["loss"] for s in (0.0, 0.1)]
    assert certain[0] == pytest.approx(0, abs=1e-6)
    assert certain[1] > 1


def test_samples_are_mixed_with_their_neighbours():
    batch = {
        "patch": torch.arange(3.0)[:, None], "heatmap": torch.arange(3.0)[:, None] * 10,
        "stage1": torch.arange(3.0)[:, None] + 5, "label": torch.arange(3),
        "offset": torch.zeros(3, 3),
    }  # fmt: skip
    inputs, order = mixed(batch, 0.75)
    assert order.tolist() == [2, 0, 1]
    assert inputs["patch"][:, 0].tolist() == [0.5, 0.75, 1.75]
    assert inputs["heatmap"][:, 0].tolist() == [5, 7.5, 17.5]
    assert inputs["stage1"][:, 0].tolist() == [5.5, 5.75, 6.75]
    whole, _ = mixed(batch, 1.0)
    assert all(torch.equal(whole[name], batch[name]) for name in whole)

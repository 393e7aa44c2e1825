import math

import pytest
import torch

from refiner.losses import focal_loss, mixed, refiner_loss, soft_fbeta_loss

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


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "fbeta"])
def test_every_kind_is_near_zero_when_all_is_right_and_falls_along_its_gradient(kind):
    logits = torch.tensor([[50.0, 0.0, 0.0], [0.0, 0.0, 50.0]])
    given = torch.tensor([0, 2])
    right = refiner_loss(logits, OFFSETS, given, OFFSETS, offset_weight=0.0, kind=kind)
    assert right["loss"].item() == pytest.approx(0, abs=1e-5)
    start = torch.zeros(2, 3, requires_grad=True)
    before = refiner_loss(start, OFFSETS, given, OFFSETS, offset_weight=0.0, kind=kind)["loss"]
    before.backward()
    moved = start.detach() - 0.1 * start.grad
    after = refiner_loss(moved, OFFSETS, given, OFFSETS, offset_weight=0.0, kind=kind)["loss"]
    assert after < before.detach()


def test_focal_loss_by_hand():
    logits = torch.tensor([[math.log(3.0), 0.0]])  # probability 3/4
    assert focal_loss(logits, torch.tensor([0])).item() == pytest.approx(-math.log(0.75) / 16)


def test_soft_fbeta_of_sure_answers_is_that_of_counts():
    label = torch.tensor([0, 0, 0, 1, 2])
    answer = torch.tensor([0, 0, 2, 0, 2])
    logits = 100.0 * torch.nn.functional.one_hot(answer, 3).float()
    # Class 0: 2 found, 1 missed, 1 false. Class 1: none of 1. Class 2 is none.
    expected = 1 - (17 * 2 / (17 * 2 + 16 * 1 + 1) + 0) / 2
    assert soft_fbeta_loss(logits, label).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_nothing_has_no_fbeta_loss():
    assert soft_fbeta_loss(torch.zeros(2, 3), torch.tensor([2, 2])).item() == 0


def test_balanced_loss_weighs_classes():
    logits, label = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([0, 1])
    weights = torch.tensor([2.0, 5.0, 1.0])
    found = refiner_loss(
        logits, OFFSETS, label, OFFSETS, offset_weight=0.0, kind="balanced", class_weights=weights
    )
    each = -torch.log_softmax(logits, 1)[torch.arange(2), label]
    assert found["loss"].item() == pytest.approx(float((2 * each[0] + 5 * each[1]) / 7))


@pytest.mark.parametrize("kind", ["hinge", "balanced"])
def test_an_unknown_kind_or_missing_weights_are_refused(kind):
    with pytest.raises(ValueError, match="kind"):
        refiner_loss(
            torch.zeros(1, 3), OFFSETS[:1], torch.tensor([0]), OFFSETS[:1],
            offset_weight=0.0, kind=kind,
        )  # fmt: skip

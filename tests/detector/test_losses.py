"""Every loss of the package, found by name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.parts import build_part, part_names
from detector.losses.weighted_mse import weighted_mse

LOSSES = part_names("detector.losses")


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

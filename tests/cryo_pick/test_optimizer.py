"""The schedule of a training, and the average of its weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cryo_pick.optimizer import AveragedWeights, learning_rate_factor


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.99))
def test_learning_rate_rises_then_falls_and_never_exceeds_its_peak(a, b, warmup):
    low, high = sorted((a, b))
    first, second = learning_rate_factor(low, warmup), learning_rate_factor(high, warmup)
    assert 0 <= first <= 1
    assert 0 <= second <= 1
    if high < warmup:
        assert first <= second
    elif low >= warmup:
        assert first >= second


@pytest.mark.parametrize("warmup", [0.0, 1e-6, 0.05, 0.5])
def test_learning_rate_ends(warmup):
    assert learning_rate_factor(1.0, warmup) == pytest.approx(0, abs=1e-12)
    assert learning_rate_factor(warmup, warmup) == pytest.approx(1)
    assert learning_rate_factor(0.0, warmup) > 0
    middle = warmup + (1 - warmup) / 2
    assert learning_rate_factor(middle, warmup) == pytest.approx(0.5)


def test_average_is_the_naive_one():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = AveragedWeights(module, 0.9)
    expected = {k: v.double().numpy().copy() for k, v in module.state_dict().items()}
    for step in range(200):
        with torch.no_grad():
            for p in module.parameters():
                p.normal_()
            module[1].running_mean.normal_()
            module[1].num_batches_tracked += 1
        average.update(module, step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            new = value.double().numpy()
            mixed = decay * expected[name] + (1 - decay) * new
            expected[name] = mixed if value.is_floating_point() else new.copy()
    assert average.state["1.num_batches_tracked"] == 200
    for name, value in average.state.items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-4, atol=1e-6)


def test_average_is_no_view_of_the_weights():
    module = nn.Linear(2, 2)
    average = AveragedWeights(module, 0.9)
    kept = average.state["weight"].clone()
    with torch.no_grad():
        module.weight.add_(1)
    assert torch.equal(average.state["weight"], kept)

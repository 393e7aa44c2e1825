"""Ranges that lose least, against trying them on the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from detector.int8 import RoundedInput, measure_ranges, rounded, rounding_error
from detector.int8_ranges import best_range, least_error_ranges


def counted(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.histogram(values, 4096, (low, high))[0].astype(np.float64)


def lost(values: np.ndarray, low: float, high: float) -> float:
    x = torch.from_numpy(values.astype(np.float32))
    return float((RoundedInput(low, high)(x) - x).double().square().mean())


@pytest.mark.parametrize("signed", [True, False])
def test_a_long_tail_is_cut_where_that_loses_least(signed: bool) -> None:
    values = np.random.default_rng(0).laplace(size=200_000)
    values = values if signed else np.maximum(values, 0)
    low, high = min(values.min(), 0.0), values.max()
    found = best_range(counted(values, low, high), low, high)
    assert found[1] < 0.9 * high
    assert (found[0] < 0) == signed
    shares = np.linspace(0.1, 1, 46)
    best = min(lost(values, s * low, s * high) for s in shares)
    assert lost(values, *found) <= 1.05 * best  # a histogram knows values to a bin
    assert best < 0.9 * lost(values, low, high)


def test_what_has_no_tail_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 100_000)
    assert best_range(counted(values, -1, 3), -1.0, 3.0) == (-1.0, 3.0)
    assert best_range(np.zeros(4096), 0.0, 0.0) == (0.0, 0.0)


def test_a_network_is_changed_less() -> None:
    torch.manual_seed(0)
    tail = nn.Sequential(nn.Conv3d(1, 16, 3, padding=1), nn.Softplus(), nn.Conv3d(16, 2, 1)).eval()
    with torch.no_grad():
        tail[0].weight.mul_(3)
    generator = torch.Generator().manual_seed(1)
    tiles = [torch.randn(1, 1, 8, 16, 16, generator=generator).pow(3) for _ in range(3)]
    extremes, least = measure_ranges(tail, tiles), least_error_ranges(tail, tiles)
    assert set(extremes) == set(least) == {"2"}
    assert least["2"][1] < extremes["2"][1]
    errors = [rounding_error(tail, rounded(tail, r).eval(), tiles) for r in (extremes, least)]
    assert errors[1] < errors[0]
    assert not any(m._forward_pre_hooks for m in tail.modules())

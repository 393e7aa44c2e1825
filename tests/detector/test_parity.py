"""How far a backend may be from torch: a few roundings, not another network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from detector.engine import UnsupportedNetwork
from detector.parity import check_against_torch, check_answers

NOISE = np.random.default_rng(0).standard_normal((1, 1, 8, 8, 8), np.float32)


def cancelling() -> nn.Module:
    """What is left of a large number when it is taken away again: in bf16 little but rounding."""
    first, second = nn.Conv3d(1, 2, 1), nn.Conv3d(2, 1, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([1.0, 0.5]).view(2, 1, 1, 1, 1))
        first.bias.fill_(20.0)  # type: ignore[union-attr]
        second.weight.copy_(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1, 1))
    return nn.Sequential(first, second).eval()


def answers(module: nn.Module, bf16: bool = False) -> NDArray[np.float32]:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return module(torch.from_numpy(NOISE)).float().numpy()


@pytest.mark.parametrize(("times", "allowed"), [(0.0, True), (1.9, True), (2.1, False)])
def test_as_much_as_twice_what_torch_loses_in_bf16(times: float, allowed: bool) -> None:
    module = cancelling()
    right = answers(module)
    lost = answers(module, bf16=True) - right
    assert np.square(lost).mean() > 0.05**2 * np.square(right).mean()  # more than the tolerance
    given = right + times * lost
    if allowed:
        check_answers([given], module, [NOISE], "bf16")
    else:
        with pytest.raises(UnsupportedNetwork, match=r"differs from torch's by 0\.\d+ of its size"):
            check_answers([given], module, [NOISE], "bf16")


def test_fp32_is_held_to_fp32() -> None:
    module = cancelling()
    check_answers([answers(module)], module, [NOISE], "fp32")
    with pytest.raises(UnsupportedNetwork, match=r"where 0\.002 is allowed"):
        check_answers([answers(module, bf16=True)], module, [NOISE], "fp32")


def test_every_output_is_compared() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, 2 * x

    check_answers([NOISE, 2 * NOISE], Two(), [NOISE], "fp32")
    with pytest.raises(UnsupportedNetwork, match=r"by 0\.5 of its size"):
        check_answers([NOISE, NOISE], Two(), [NOISE], "fp32")


def test_another_shape_and_a_backend_that_fails_are_told() -> None:
    module, shape = cancelling(), NOISE.shape
    with pytest.raises(UnsupportedNetwork, match="where torch's is"):
        check_against_torch(lambda x: x[..., 1:], module, shape, "fp32")

    def fails(_: NDArray[np.float32]) -> NDArray[np.float32]:
        raise RuntimeError("no such layer")

    with pytest.raises(UnsupportedNetwork, match=r"it does not compile \(no such layer\)"):
        check_against_torch(fails, module, shape, "fp32")

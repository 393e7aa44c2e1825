"""Several networks run as one say what they say apart, averaged."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from detector.engine import make_engine
from detector.mean_network import MeanNetwork
from detector.settings import InferSettings


def networks() -> list[nn.Module]:
    """Three of different weights and widths."""
    torch.manual_seed(0)
    return [
        nn.Sequential(nn.Conv3d(1, n, 3, stride=2, padding=1), nn.ReLU(), nn.Conv3d(n, 2, 1)).eval()
        for n in (4, 6, 8)
    ]


TILE = np.random.default_rng(0).standard_normal((1, 1, 16, 32, 16), np.float32)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_the_engine_of_a_mean_is_the_mean_of_engines(backend: str) -> None:
    if backend == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    members = networks()
    settings = InferSettings(engine=backend, precision="fp32", accelerator="cpu")
    apart = np.mean([make_engine(m, settings, 2)(TILE) for m in members], axis=0)
    engine = make_engine(MeanNetwork(members).eval(), settings, 2)
    # fp32 sums in another order
    np.testing.assert_allclose(engine(TILE), apart, rtol=0, atol=1e-5)
    assert engine.geometry.n_classes == 2


def test_it_needs_the_memory_of_one_and_not_of_all() -> None:
    members = networks()
    settings = InferSettings(engine="torch", precision="fp32", accelerator="cpu")
    alone = [make_engine(m, settings, 2).geometry.bytes_per_voxel for m in members]
    together = make_engine(MeanNetwork(members).eval(), settings, 2).geometry.bytes_per_voxel
    assert max(alone) <= together < max(alone) + 4 * 3  # and one output of k = 2 at stride 2 or so


def test_members_that_answer_in_bf16_are_added_in_fp32() -> None:
    class Third(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 1, 2, 2, 2), 1 / 3, dtype=torch.bfloat16)

    answer = MeanNetwork([Third(), Third(), Third()])(torch.zeros(1, 1, 4, 4, 4))
    third = float(torch.tensor(1 / 3, dtype=torch.bfloat16))
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, torch.full_like(answer, third))

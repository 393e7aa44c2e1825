"""Weight gradients of 3D convolutions: against torch in fp32, where oneDNN goes wrong too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cryo_pick import conv3d_gradient
from cryo_pick.conv3d_gradient import RightGradients, weight_gradient
from cryo_pick.fit import fit
from cryo_pick.hardware import cpu_has_bf16
from cryo_pick.settings import OptimizerSettings

BF16_ROUNDING = 2**-6 if cpu_has_bf16() else 2**-4
"""Share of the largest gradient: a few roundings to 8 bits, of both factors and the sum.

Where bf16 is emulated, torch keeps the sums over a kernel in bf16 too: one rounding a term."""
needs_bf16 = pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU emulates bf16")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the inputs whose weight gradients were computed by slices."""
    shapes: list[tuple[int, ...]] = []

    def spy(volume: Tensor, *others: Any) -> Tensor:
        shapes.append(tuple(volume.shape))
        return weight_gradient(volume, *others)

    monkeypatch.setattr(conv3d_gradient, "weight_gradient", spy)
    return shapes


three = st.tuples(*[st.integers(1, 3)] * 3)


@settings(max_examples=60, deadline=None)
@given(
    kernel=three,
    stride=three,
    dilation=st.tuples(*[st.integers(1, 2)] * 3),
    padding=st.tuples(*[st.integers(0, 2)] * 3),
    extra=st.tuples(*[st.integers(0, 4)] * 3),
    groups=st.sampled_from([1, 2]),
    batch=st.integers(1, 3),
    transposed=st.booleans(),
)
def test_the_same_sum_as_torch(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: tuple[int, ...],
    extra: tuple[int, ...],
    groups: int,
    batch: int,
    transposed: bool,
) -> None:
    """Any kernel, stride, padding, dilation and grouping, transposed or not, in fp64."""
    needed = [
        max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    size = [n + e for n, e in zip(needed, extra, strict=True)]
    draw = torch.Generator().manual_seed(0)
    volume = torch.randn(batch, 4, *size, generator=draw, dtype=torch.float64)
    weight = torch.randn(6, 4 // groups, *kernel, generator=draw, dtype=torch.float64)
    weight.requires_grad_()
    how: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    output = nn.functional.conv3d(volume, weight, **how)
    gradient = torch.randn(output.shape, generator=draw, dtype=torch.float64)
    if transposed:
        added = [
            n - ((m - 1) * s - 2 * p + d * (k - 1) + 1)
            for n, m, s, p, d, k in zip(
                size, output.shape[2:], stride, padding, dilation, kernel, strict=True
            )
        ]
        back = nn.functional.conv_transpose3d(gradient, weight, output_padding=added, **how)
        back.backward(volume)
    else:
        output.backward(gradient)
    ours = weight_gradient(volume, gradient, kernel, stride, padding, dilation, groups)
    torch.testing.assert_close(ours, weight.grad)


def gradients(
    module: nn.Module, volume: Tensor, bf16: bool, within: Callable[[], Any]
) -> list[Tensor]:
    """Gradients of a module's parameters and of its input, for a loss that weights each voxel."""
    module.zero_grad()
    seen = volume.clone().requires_grad_()
    with within(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = module(seen)
        ((output.float() * torch.linspace(-1, 1, output.numel()).view_as(output)).sum()).backward()
    assert seen.grad is not None
    return [seen.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # by torch, in fp32
@pytest.mark.parametrize(
    "module",
    [
        nn.Conv3d(3, 5, 3, stride=2, padding=1),
        nn.Conv3d(4, 4, 1, bias=False),
        nn.Conv3d(4, 4, 3, padding=1, groups=2, padding_mode="circular"),
        nn.Conv3d(3, 2, (1, 3, 3), padding="same"),
        nn.Conv3d(3, 2, (2, 3, 4), padding="same", bias=False),
        nn.Conv3d(3, 2, 3, padding="valid", dilation=2),
        nn.ConvTranspose3d(3, 5, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose3d(4, 2, 2, stride=2, bias=False),
    ],
    ids=str,
)
def test_layers_learn_as_in_fp32(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of weights, bias and input under autocast: torch's in fp32, within roundings."""
    monkeypatch.setattr(conv3d_gradient, "LARGEST_PLANE", 0)
    torch.manual_seed(0)
    module.reset_parameters()  # type: ignore[operator]  # the same weights in every process
    channels = next(module.parameters()).shape[0]
    n = channels if isinstance(module, nn.ConvTranspose3d) else int(module.in_channels)  # type: ignore[arg-type]
    volume = torch.randn(2, n, 6, 7, 8, generator=torch.Generator().manual_seed(1))
    expected = gradients(module, volume, False, RightGradients)
    for ours, right in zip(gradients(module, volume, True, RightGradients), expected, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - right).abs().max() <= BF16_ROUNDING * right.abs().max()


@pytest.mark.parametrize(
    ("module", "size"),
    [
        (nn.Conv3d(16, 16, 3, padding=1), (2, 12, 12)),
        (nn.Conv3d(16, 16, 5, padding=2), (3, 12, 12)),
        (nn.Conv3d(16, 16, 5, padding=2), (8, 1, 12)),
        (nn.Conv3d(16, 16, 3, padding=3, dilation=3), (6, 12, 12)),
        (nn.ConvTranspose3d(16, 16, 3, padding=1), (2, 12, 12)),
    ],
    ids=str,
)
def test_volumes_shorter_than_the_kernel(
    module: nn.Module, size: tuple[int, ...], asked: list[tuple[int, ...]]
) -> None:
    """However small: torch's own are infinite there, on a CPU with avx512_bf16."""
    torch.manual_seed(0)
    module.reset_parameters()  # type: ignore[operator]
    volume = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(1))
    expected = gradients(module, volume, False, RightGradients)
    assert not asked
    found = gradients(module, volume, True, RightGradients)
    assert len(asked) == 1
    for ours, right in zip(found, expected, strict=True):
        assert (ours - right).abs().max() <= BF16_ROUNDING * right.abs().max()


def test_only_where_it_is_needed(
    asked: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp32, weights that don't learn and small planes are left to torch."""
    monkeypatch.setattr(conv3d_gradient, "LARGEST_PLANE", 16 * 8 * 8)
    layer = nn.Conv3d(2, 2, 3, padding=1)
    small, large = torch.zeros(1, 2, 4, 8, 8), torch.zeros(1, 2, 4, 8, 9)
    gradients(layer, small, True, RightGradients)
    gradients(layer, large, False, RightGradients)
    assert not asked
    gradients(layer, large, True, RightGradients)
    assert asked == [(1, 2, 4, 8, 9)]
    layer.weight.requires_grad_(False)
    gradients(layer, large, True, RightGradients)
    assert len(asked) == 1


@needs_bf16
@pytest.mark.parametrize(
    ("batch", "channels", "n_out", "depth", "width"),
    [
        (1, 96, 96, 4, 48),  # not the same twice
        (2, 848, 256, 4, 32),  # NaN
        (1, 64, 192, 4, 64),  # never returns
        (1, 16, 16, 8, 256),  # crashes
    ],
)
def test_where_onednn_goes_wrong(
    batch: int, channels: int, n_out: int, depth: int, width: int
) -> None:
    """Layers whose gradients of torch 2.14.1 are wrong, in the way said, on a CPU with AMX."""
    draw = torch.Generator().manual_seed(0)
    layer = nn.Conv3d(channels, n_out, 3, padding=1, bias=False)
    layer.to(memory_format=torch.channels_last_3d)
    volume = torch.randn(batch, channels, depth, width, width, generator=draw)
    volume = volume.to(memory_format=torch.channels_last_3d)
    _, ours = gradients(layer, volume, True, RightGradients)
    _, right = gradients(layer, volume, False, RightGradients)
    assert (ours - right).abs().max() <= BF16_ROUNDING * right.abs().max()


@needs_bf16
def test_trainings_use_it(tmp_path: Path, asked: list[tuple[int, ...]]) -> None:
    """`fit` trains a layer with a large plane by slices."""
    fit(
        nn.Conv3d(1, 1, 3),
        lambda module, batch: {"loss": module(batch["volume"]).float().square().mean()},
        lambda step, size, rank: {"volume": np.zeros((size, 1, 3, 128, 128), np.float32)},
        OptimizerSettings(steps=2, batch_size=2, accelerator="cpu", precision="bf16"),
        tmp_path,
    )
    assert asked == [(2, 1, 3, 128, 128)] * 2

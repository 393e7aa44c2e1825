"""A plain convolution with rearranged channels computes what torch's transposed one computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from detector.networks import unet_half
from detector.subpixel import SubpixelConv3d, is_replaceable, without_transposed


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and output padding of an axis that grows by exactly its stride."""
    stride = draw(st.integers(1, 3))
    output_padding = draw(st.integers(0, stride - 1))
    padding = draw(st.integers(0, 2))
    return stride + 2 * padding - output_padding, stride, padding, output_padding


@settings(max_examples=60, deadline=None)
@given(st.tuples(axes(), axes(), axes()), st.booleans(), st.integers(0, 2**16))
def test_any_transposed_convolution_that_multiplies_the_size_has_an_equal(
    of_axes: tuple[tuple[int, int, int, int], ...], bias: bool, seed: int
) -> None:
    kernel, stride, padding, output_padding = zip(*of_axes, strict=True)
    torch.manual_seed(seed)
    module = nn.ConvTranspose3d(3, 2, kernel, stride, padding, output_padding, bias=bias)
    pairs = list(zip(kernel, stride, strict=True))
    possible, overlapping = all(k >= s for k, s in pairs), any(k > s for k, s in pairs)
    assert is_replaceable(module) == (possible and overlapping)
    if not is_replaceable(module):
        with pytest.raises(ValueError, match="replaceable"):
            SubpixelConv3d(module)
        return
    x = torch.randn(2, 3, 3, 4, 5)
    with torch.inference_mode():
        # fp32 sums of up to 3 * 7**3 products in another order
        torch.testing.assert_close(SubpixelConv3d(module)(x), module(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv3d(2, 2, 3),
        nn.ConvTranspose3d(2, 2, 3, stride=2, padding=1),  # one voxel short of twice the size
        nn.ConvTranspose3d(2, 2, 2, stride=2),  # blocks that don't overlap
        nn.ConvTranspose3d(2, 2, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.ConvTranspose3d(2, 2, 3, padding=2, dilation=2),
    ],
    ids=["plain", "short", "apart", "grouped", "dilated"],
)
def test_others_are_left_alone(module: nn.Module) -> None:
    assert not is_replaceable(module)
    assert type(without_transposed(nn.Sequential(module))[0]) is type(module)


def test_a_network_keeps_its_answers_and_the_names_of_its_layers() -> None:
    torch.manual_seed(0)
    network = unet_half.build(3, stem=8, channels=(8, 16, 16, 16)).eval()
    before = {name for name, _ in network.named_modules()}
    x = torch.randn(1, 1, 16, 24, 32)
    with torch.inference_mode():
        plain = without_transposed(network)
        # instance norms divide differences of fp32 sums by small deviations
        torch.testing.assert_close(plain(x), network(x), rtol=1e-3, atol=1e-4)
    assert {name for name, _ in plain.named_modules()} == before
    assert not any(isinstance(m, nn.ConvTranspose3d) for m in plain.modules())
    assert sum(isinstance(m, nn.ConvTranspose3d) for m in network.modules()) == 3

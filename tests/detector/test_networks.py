"""Every network of the package, found by name: shapes, gradients, layouts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.errors import ConfigError
from cryo_pick.parts import build_part, find_part, part_names
from detector.networks.shuffle_unet import fold_blocks, unfold_blocks

PACKAGE = "detector.networks"
NETWORKS = part_names(PACKAGE)
SIZES = [(32, 32, 32), (32, 64, 32)]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    module = build_part(PACKAGE, request.param, {}, "model", n_classes=3)
    return module, find_part(PACKAGE, request.param, "model").OUTPUT_STRIDE


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("size", SIZES)
def test_one_cell_per_stride(network, size):
    module, stride = network
    with torch.no_grad():
        out = module.eval()(torch.randn(2, 1, *size))
    assert out.shape == (2, 3, *(n // stride for n in size))
    assert torch.isfinite(out).all()
    assert out.std() > 0


def test_every_parameter_learns(network):
    module, _ = network
    module.train()
    module.zero_grad()
    module(torch.randn(2, 1, 16, 16, 16)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert any(p.grad.abs().max() > 0 for p in module.parameters())


def test_a_flat_volume_is_no_problem(network):
    module, _ = network
    with torch.no_grad():
        assert torch.isfinite(module.eval()(torch.zeros(1, 1, 16, 16, 16))).all()


def test_channels_last_changes_nothing(network):
    module, _ = network
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        plain = module.eval()(x)
        last = module(x.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 3), st.tuples(*[st.integers(1, 3)] * 3))
def test_blocks_to_channels_and_back(channels, r, blocks):
    x = torch.arange(2 * channels * r**3 * blocks[0] * blocks[1] * blocks[2], dtype=torch.float32)
    x = x.reshape(2, channels, *(n * r for n in blocks))
    folded = fold_blocks(x, r)
    assert folded.shape == (2, channels * r**3, *blocks)
    assert torch.equal(unfold_blocks(folded, r), x)
    assert torch.equal(fold_blocks(unfold_blocks(folded, r), r), folded)


def test_a_folded_cell_holds_its_own_block():
    x = torch.randn(1, 2, 4, 6, 8)
    folded = fold_blocks(x, 2)
    for c in range(2):
        block = x[0, c, 2:4, 0:2, 6:8].ravel()
        assert torch.equal(folded[0, c * 8 : (c + 1) * 8, 1, 0, 3], block)


def test_settings_reach_the_network():
    wide = build_part(
        PACKAGE, "unet_half", {"channels": [8, 8], "strides": [2]}, "model", n_classes=1
    )
    count = sum(p.numel() for p in wide.parameters())
    default = build_part(PACKAGE, "unet_half", {}, "model", n_classes=1)
    assert count < sum(p.numel() for p in default.parameters()) / 10
    with pytest.raises(ConfigError, match=r"`channels` and `blocks` of one length"):
        build_part(PACKAGE, "shuffle_unet", {"channels": [8]}, "model", n_classes=1)

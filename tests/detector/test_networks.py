"""Every network of the package, found by name: shapes, gradients, layouts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets import FlexibleUNet

from cryo_pick.errors import ConfigError
from cryo_pick.parts import build_part, find_part, part_names
from detector.networks.shuffle_unet import fold_blocks, unfold_blocks

PACKAGE = "detector.networks"
NARROW = {
    "shuffle_unet": {},
    "unet_half": {},
    "unet_full": {"channels": [8, 16, 16], "strides": [2, 2]},
    "unet25d": {"backbone": "test_resnet", "widths": [8, 8, 8, 8, 8]},
    "unet25d_half": {"backbone": "test_resnet", "widths": [8, 8, 8, 8]},
    "flexunet_half": {"backbone": "resnet10", "width": 8, "channels": [16, 16, 16, 8, 8]},
    "flexunet_full": {"backbone": "resnet10", "width": 8, "channels": [16, 16, 16, 16, 8]},
    "points_segresnet": {"filters": 8, "blocks_down": [1, 1, 1]},
    "points_dynunet": {"filters": [8, 16, 16], "features": 8},
    "slices": {"channels": [8, 16, 16], "strides": [2, 2]},
}
"""Settings that keep a network quick, by name."""
SIZES = [(32, 32, 32), (32, 64, 32)]


def test_every_network_is_tested_here():
    assert sorted(NARROW) == part_names(PACKAGE)


@pytest.fixture(scope="module", params=NARROW)
def network(request):
    torch.manual_seed(0)
    module = build_part(PACKAGE, request.param, NARROW[request.param], "model", n_classes=3)
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
    module(torch.randn(2, 1, 32, 32, 32)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert any(p.grad.abs().max() > 0 for p in module.parameters())


def test_a_flat_volume_is_no_problem(network):
    module, _ = network
    with torch.no_grad():
        assert torch.isfinite(module.eval()(torch.zeros(1, 1, 32, 32, 32))).all()


def test_channels_last_changes_nothing(network):
    module, _ = network
    x = torch.randn(1, 1, 32, 32, 32)
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


def test_the_flexible_unets_are_monais():
    """At width 64, with MONAI's weights; the half one is all but its last level."""
    torch.manual_seed(0)
    whole = FlexibleUNet(1, 2, "resnet10", spatial_dims=3).eval()
    full = build_part(PACKAGE, "flexunet_full", {"backbone": "resnet10"}, "model", n_classes=2)
    state = {k.replace("segmentation_head.0", "head"): v for k, v in whole.state_dict().items()}
    full.load_state_dict(state)
    half = build_part(PACKAGE, "flexunet_half", {"backbone": "resnet10"}, "model", n_classes=2)
    half.load_state_dict(
        {k.replace("decoder.blocks", "blocks"): v for k, v in state.items()}, strict=False
    )
    levels = []
    half.heads[-1].register_forward_pre_hook(lambda module, args: levels.append(args[0]))
    x = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(full.eval()(x), whole(x))
        half.eval()(x)
        last = whole.decoder.blocks[-1](levels[0], None)
        torch.testing.assert_close(whole.segmentation_head(last), whole(x))

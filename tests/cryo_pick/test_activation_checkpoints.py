"""Blocks that compute their activations twice: the same numbers, fewer of them kept."""

import copy

import pytest
import torch
from torch import nn

from cryo_pick.activation_checkpoints import checkpoint_blocks
from detector.network_geometry import peak_bytes
from detector.networks import shuffle_unet, unet_half

NETWORKS = {
    "batch norm": lambda: shuffle_unet.build(2, channels=(8, 12), blocks=(1, 1)),
    "instance norm": lambda: unet_half.build(2, stem=8, channels=(8, 8, 12), strides=(2, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_running_statistics_are_the_same(name):
    torch.manual_seed(0)
    plain = NETWORKS[name]().train()
    again = copy.deepcopy(plain)
    assert checkpoint_blocks(again) >= 2
    assert again.state_dict().keys() == plain.state_dict().keys()
    image = torch.randn(2, 1, 16, 16, 16)
    for module in (plain, again):
        module(image).square().mean().backward()
    for (key, a), b in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-8, msg=key)
    for (key, a), b in zip(plain.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8, msg=key)


def test_random_draws_are_repeated():
    torch.manual_seed(0)
    conv = [nn.Conv3d(1, 4, 3), nn.Dropout(0.5), nn.Conv3d(4, 1, 3)]
    plain = nn.Sequential(nn.Sequential(*conv), nn.Conv3d(1, 1, 1), nn.Conv3d(1, 1, 1))
    again = copy.deepcopy(plain)
    assert checkpoint_blocks(again) == 1
    gradients = []
    for module in (plain, again):
        torch.manual_seed(7)
        module(torch.ones(1, 1, 8, 8, 8)).sum().backward()
        gradients.append([p.grad for p in module.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_less_memory_is_taken():
    torch.manual_seed(0)
    plain = shuffle_unet.build(2, channels=(16, 16), blocks=(3, 1)).train()
    again = copy.deepcopy(plain)
    checkpoint_blocks(again)
    image = torch.randn(2, 1, 32, 32, 32)
    taken = [peak_bytes(lambda m=m: m(image).mean().backward()) for m in (plain, again)]
    assert taken[1] < 0.8 * taken[0]


def test_a_copy_uses_its_own_weights():
    module = shuffle_unet.build(2, channels=(8,), blocks=(1,)).train()
    checkpoint_blocks(module)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    image = torch.ones(1, 1, 8, 8, 8)
    assert other(image).abs().max() == 0
    assert module(image).abs().max() > 0
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(image), module(image))

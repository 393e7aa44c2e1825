"""Every patch network of the package, found by name."""

import pytest
import torch

from cryo_pick.errors import ConfigError
from cryo_pick.parts import build_part, part_names
from refiner.networks.patch_net import centre_weight
from refiner.networks.two_scales import middle

PACKAGE = "refiner.networks"
K = 3


OPTIONS = [
    *((name, {}) for name in part_names(PACKAGE)),
    ("patch_net", {"block": "convnext", "squeeze": True}),
]


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def network(request):
    torch.manual_seed(0)
    name, params = request.param
    return build_part(PACKAGE, name, params, "refiner", n_classes=K)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(patch, batch=2):
    torch.manual_seed(1)
    cells = patch // 2
    return (
        torch.randn(batch, 1, patch, patch, patch),
        torch.rand(batch, K, cells, cells, cells),
        torch.rand(batch, K),
    )


@pytest.mark.parametrize("patch", [16, 32, 48])
def test_shapes(network, patch):
    with torch.no_grad():
        logits, offsets = network.eval()(*inputs(patch))
    assert logits.shape == (2, K + 1)
    assert offsets.shape == (2, 3)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(offsets).all()


def test_every_parameter_learns_from_both_answers(network):
    network.train()
    network.zero_grad()
    logits, offsets = network(*inputs(16))
    (logits.square().mean() + offsets.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_patch_heatmap_and_scores_all_matter(network):
    network.eval()
    given = inputs(16)
    with torch.no_grad():
        plain = network(*given)[0]
        for i in range(3):
            changed = [torch.zeros_like(t) if j == i else t for j, t in enumerate(given)]
            assert not torch.allclose(network(*changed)[0], plain)


def test_scores_at_the_ends_are_finite(network):
    patch, heatmap, _ = inputs(16)
    with torch.no_grad():
        for end in (0.0, 1.0):
            assert torch.isfinite(network.eval()(patch, heatmap, torch.full((2, K), end))[0]).all()


@pytest.mark.parametrize("size", [1, 4, 5])
def test_centre_weight_is_symmetric_with_sum_one_and_most_in_the_middle(size):
    weight = centre_weight(size, torch.device("cpu"), torch.float32)
    assert weight.sum().item() == pytest.approx(1, abs=1e-6)
    for axis in range(3):
        torch.testing.assert_close(weight.flip(axis), weight)
        torch.testing.assert_close(weight.transpose(0, axis), weight)
    assert weight[size // 2, size // 2, size // 2] == weight.max()
    assert size == 1 or weight[0, 0, 0] < weight.max() / 2


def test_settings_of_different_lengths_are_refused():
    with pytest.raises(ConfigError, match=r"`channels` and `blocks` of one length"):
        build_part(PACKAGE, "patch_net", {"channels": [8]}, "refiner", n_classes=K)


def test_without_heatmaps_only_the_scores_of_stage_1_are_seen():
    network = build_part(PACKAGE, "patch_net", {"heatmap": False}, "refiner", n_classes=K).eval()
    patch, heatmap, scores = inputs(16)
    with torch.no_grad():
        plain = network(patch, heatmap, scores)[0]
        assert torch.equal(network(patch, heatmap + 1, scores)[0], plain)
        assert not torch.allclose(network(patch, heatmap, scores / 2)[0], plain)


@pytest.mark.parametrize("name", part_names(PACKAGE))
def test_a_network_of_voxels_alone(name):
    params = {"heatmap": False, "scores": False}
    network = build_part(PACKAGE, name, params, "refiner", n_classes=K).eval()
    patch, heatmap, scores = inputs(16)
    with torch.no_grad():
        plain = network(patch, heatmap, scores)[0]
        assert torch.equal(network(patch, heatmap + 1, scores / 2)[0], plain)
        assert not torch.allclose(network(patch + 1, heatmap, scores)[0], plain)


def test_the_middle_of_a_cube():
    cube = torch.arange(8.0**3).reshape(1, 1, 8, 8, 8)
    assert torch.equal(middle(cube), cube[:, :, 2:6, 2:6, 2:6])


def test_an_unknown_block_is_refused():
    with pytest.raises(ConfigError, match="residual, convnext"):
        build_part(PACKAGE, "patch_net", {"block": "mamba"}, "refiner", n_classes=K)

"""Depth pooling of timm backbones: against timm itself, slice by slice, and by the arithmetic."""

import copy

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from cryo_pick.errors import ConfigError
from detector import depth_pooling
from detector.depth_pooling import depth_pooled, neighbour_channels, pool_depth
from detector.networks.unet25d import build

MAXVIT = {"img_size": 64}  # its windows divide the image it was made for
BACKBONES = {
    "resnet18": None,
    "resnetrs50": {"layers": [1, 1, 1, 1]},
    "convnext_atto": None,
    "efficientnet_b0": None,
    "regnety_002": None,
    "test_maxvit": MAXVIT,
    "mobilenetv3_small_050": None,
    "test_byobnet": None,
}
"""Eight, of eight families, with settings of their own."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def n_stages(name):
    return len(timm.create_model(name, **(BACKBONES.get(name) or {})).feature_info)


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    """Name, and the encoder with depth halved at every stage but the last."""
    name = request.param
    strides = [2] * (n_stages(name) - 1) + [1]
    torch.manual_seed(0)
    encoder = depth_pooled(name, 1, strides, backbone_params=BACKBONES[name]).eval()
    return name, encoder, strides


@pytest.mark.parametrize("name", BACKBONES)
def test_without_pooling_every_slice_is_what_timm_says_of_it(name):
    ones = [1] * n_stages(name)
    torch.manual_seed(0)
    encoder = depth_pooled(name, 1, ones, backbone_params=BACKBONES[name]).eval()
    model = timm.create_model(
        name, in_chans=1, features_only=True, out_indices=tuple(range(len(ones))),
        **(BACKBONES[name] or {}),
    ).eval()  # fmt: skip
    mine = encoder.state_dict()
    # Of some families timm keeps the stages in a list, where FeatureListNet joins the names.
    same = {k: mine.get(k, mine.get(k.replace(".", "_", 1))) for k in model.state_dict()}
    model.load_state_dict(same)
    volume = torch.randn(2, 1, 3, 64, 64)
    with torch.no_grad():
        features = encoder(volume)
        for b in range(2):
            for z in range(3):
                expected = model(volume[b, :, z][None])
                for found, wanted in zip(features, expected, strict=True):
                    torch.testing.assert_close(found[b, :, z], wanted[0], rtol=1e-4, atol=1e-4)


def test_a_backbone_says_what_its_maps_are(backbone):
    _, encoder, strides = backbone
    depth = 2 ** (len(strides) - 1)
    with torch.no_grad():
        features = encoder(torch.randn(1, 1, depth, 64, 64))
    assert len(features) == len(encoder.channels) == len(encoder.reductions) == len(strides)
    for i, (feature, width, (z, y, x)) in enumerate(
        zip(features, encoder.channels, encoder.reductions, strict=True)
    ):
        assert feature.shape == (1, width, depth // z, 64 // y, 64 // x)
        assert z == 2 ** min(i + 1, len(strides) - 1)


def test_a_volume_alone_is_as_in_a_batch(backbone):
    _, encoder, strides = backbone
    volumes = torch.randn(3, 1, 2 ** (len(strides) - 1), 64, 64)
    with torch.no_grad():
        together = encoder(volumes)
        for i in range(3):
            alone = encoder(volumes[i : i + 1])
            for one, many in zip(alone, together, strict=True):
                torch.testing.assert_close(one[0], many[i], rtol=1e-4, atol=1e-4)


def test_a_decoder_asks_the_backbone(backbone):
    name, encoder, strides = backbone
    widths = [8] * (len(strides) + (1 if encoder.reductions[0][1] == 4 else 0))
    network = build(
        2, backbone=name, depth_strides=strides, widths=widths, backbone_params=BACKBONES[name]
    )
    depth = 2 ** (len(strides) - 1)
    with torch.no_grad():
        output = network.eval()(torch.randn(1, 1, depth, 64, 64))
    assert output.shape == (1, 2, depth, 64, 64)
    assert output.std() > 0


def test_neighbours_as_channels_with_zeros_beyond_the_ends():
    volume = torch.arange(1.0, 7)[None, None, :, None, None].expand(1, 1, 6, 2, 3)
    channels = neighbour_channels(volume, 5)
    assert channels.shape == (1, 5, 6, 2, 3)
    assert channels[0, :, 0, 0, 0].tolist() == [0, 0, 1, 2, 3]
    assert channels[0, :, 3, 1, 2].tolist() == [2, 3, 4, 5, 6]
    assert channels[0, :, 5, 0, 0].tolist() == [4, 5, 6, 0, 0]
    assert neighbour_channels(volume, 1) is volume


def test_pooling_shrinks_depth_or_smooths_it_and_keeps_volumes_apart():
    slices = torch.arange(1.0, 9)[:, None, None, None].expand(8, 1, 2, 2)  # two volumes of four
    assert pool_depth(slices, 4, 2, 2)[:, 0, 0, 0].tolist() == [1.5, 3.5, 5.5, 7.5]
    assert pool_depth(slices, 4, 4, 4)[:, 0, 0, 0].tolist() == [2.5, 6.5]
    smooth = pool_depth(slices, 4, 3, 1)[:, 0, 0, 0].tolist()
    assert smooth == [1.5, 2, 3, 3.5, 5.5, 6, 7, 7.5]
    assert torch.equal(pool_depth(slices, 4, 1, 1), slices)


def test_a_kernel_of_three_is_torchs_own():
    slices = torch.randn(2 * 6, 3, 4, 5)
    volumes = slices.unflatten(0, (2, 6)).transpose(1, 2)
    expected = torch.nn.functional.avg_pool3d(
        volumes, (3, 1, 1), 1, (1, 0, 0), count_include_pad=False
    )
    found = pool_depth(slices, 6, 3, 1).unflatten(0, (2, 6)).transpose(1, 2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": [2, 2]}, "each of 5 stages"),
        ({"kernels": [2, 2, 2, 2, 3]}, "kernel equal to its stride"),
        ({"strides": [1] * 5, "kernels": [1, 1, 1, 1, 2]}, "odd with stride 1"),
        ({"context": 2}, "`context` to be odd"),
    ],
)
def test_pooling_that_makes_no_sense_is_refused(changes, message):
    values = {"context": 1, "strides": [2] * 5, "kernels": None} | changes
    with pytest.raises(ValueError, match=message):
        depth_pooled("test_resnet", **values)


def test_an_unknown_backbone_is_refused_with_the_closest():
    with pytest.raises(ConfigError, match=r"no 'resnet_34'.*resnet34"):
        depth_pooled("resnet_34", 1, [1] * 5)
    with pytest.raises(ConfigError, match="timm has no 'hf-hub:someone/model'"):
        depth_pooled("hf-hub:someone/model", 1, [1] * 5)


def test_pretrained_weights_from_a_file(tmp_path):
    torch.manual_seed(5)
    source = timm.create_model("test_resnet")  # of three channels, with a classifier
    path = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)
    encoder = depth_pooled("test_resnet", 5, [1] * 5, pretrained=str(path))
    state = encoder.state_dict()
    assert torch.equal(state["layer3.0.conv1.weight"], source.layer3[0].conv1.weight)
    first = state["conv1.0.weight"]
    assert first.shape[1] == 5
    # timm repeats the colours' filters over the channels and keeps their sum
    assert first.sum().item() == pytest.approx(source.conv1[0].weight.sum().item(), rel=0.7)


@pytest.mark.parametrize("path", ["missing.safetensors", "weights.bin"])
def test_a_file_of_weights_that_cannot_be_used(tmp_path, path):
    (tmp_path / "weights.bin").write_bytes(b"pickle")
    with pytest.raises(ConfigError, match=r"existing \.safetensors file"):
        depth_pooled("test_resnet", 1, [1] * 5, pretrained=str(tmp_path / path))


def test_without_a_network_pretrained_fails_with_advice(monkeypatch):
    def no_network(repository, name, etag_timeout):
        assert etag_timeout <= 5
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    with pytest.raises(
        ConfigError, match=r"give the file: model\.params\.pretrained=PATH"
    ) as error:
        depth_pooled("resnet34", 1, [1] * 5, pretrained=True)
    assert "\n" not in str(error.value)
    assert depth_pooling.pretrained_file("resnet34", False) is None


def test_pretrained_from_the_cache_is_the_same_as_from_its_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet").state_dict(), path)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a, **k: str(path))
    from_cache = depth_pooled("test_resnet", 1, [1] * 5, pretrained=True).state_dict()
    from_file = depth_pooled("test_resnet", 1, [1] * 5, pretrained=str(path)).state_dict()
    assert all(torch.equal(v, from_file[k]) for k, v in from_cache.items())


def test_depth_is_seen_through_the_pooling():
    """A slice influences the stages after a pooling that joined it with its neighbours, only."""
    torch.manual_seed(0)
    encoder = depth_pooled("test_resnet", 1, [2, 2, 1, 1, 1]).eval()
    base = torch.randn(1, 1, 8, 64, 64)
    changed = base.clone()
    changed[0, 0, 5] += 1
    with torch.no_grad():
        pairs = zip(encoder(base), encoder(changed), strict=True)
        moved = [np.flatnonzero((a - b).abs().amax((0, 1, 3, 4)) > 0).tolist() for a, b in pairs]
    assert moved == [[2], [1], [1], [1], [1]]


def test_a_layout_of_volumes_is_one_of_slices_for_2d_weights(backbone):
    _, encoder, strides = backbone
    volume = torch.randn(1, 1, 2 ** (len(strides) - 1), 64, 64)
    with torch.no_grad():
        plain = encoder(volume)
        last = copy.deepcopy(encoder).to(memory_format=torch.channels_last_3d)
        found = last(volume.contiguous(memory_format=torch.channels_last_3d))
    weights = [p for p in last.parameters() if p.ndim == 4 and p.shape[1] > 1 < p.shape[2]]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    for a, b in zip(plain, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

"""The numbers that make each preset the system it is named after, as its makers gave them.

They are looked for in what is built from the whole config, wherever that can be: in targets that
are drawn, losses of known values, sizes of inner maps.
"""

from __future__ import annotations

import copy
import importlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.config import Config
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.parts import build_part
from detector.networks.unet25d import DepthPooledUNet
from detector.parts import output_stride
from detector.points_head import PointsHead
from detector.targets import DRAW, target_widths
from tests.detector.narrow import NARROW, preset

SPACING = 10.0
TYPES = ParticleTypes((ParticleType("apo-ferritin", 1, 60.0), ParticleType("ribosome", 2, 150.0)))
CENTRE = np.array([[16.0, 16.0, 16.0]])


def drawn(config: Config, label: int) -> np.ndarray:
    """A particle in the middle of 33 cubed voxels, as the preset's network is to draw its class."""
    widths = target_widths(TYPES, config.target) / SPACING
    kind = DRAW[config.target.kind]
    return kind((33, 33, 33), CENTRE, np.array([label]), widths, len(TYPES))[label]


def built(config: Config, narrow: str | None = None) -> nn.Module:
    params = copy.deepcopy(config.model.params) | (NARROW[narrow] if narrow else {})
    torch.manual_seed(0)
    network: nn.Module = build_part(
        "detector.networks", config.model.network, params, "model", n_classes=len(TYPES)
    )
    return network.eval()


def loss_of(config: Config) -> object:
    module = importlib.import_module(f"detector.losses.{config.loss.name}")
    return module.build(**config.loss.params)


def depths(name: str, depth: int, edge: int = 64) -> list[int]:
    """Slices that are left after each stage of the preset's encoder."""
    network = built(preset(name), narrow=name)
    unet = next(m for m in network.modules() if isinstance(m, DepthPooledUNet))
    with torch.no_grad():
        return [m.shape[2] for m in unet.encoder(torch.zeros(1, 1, depth, edge, edge))]


def convolved(name: str, shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Sizes of what the preset's 3D convolutions put out, those of one voxel's reach left aside."""
    network, sizes = built(preset(name), narrow=name), []

    def note(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if math.prod(module.kernel_size) > 1:
            sizes.append(tuple(output.shape[2:]))

    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(note)
    with torch.no_grad():
        network(torch.zeros(1, 1, *shape))
    return sizes


class TestYu4u:
    """4th place, one half: convnext_nano_25d."""

    config = preset("convnext_nano_25d")

    @pytest.mark.parametrize("label", [0, 1])
    def test_sigma_is_six_voxels_of_every_class(self, label):
        target = drawn(self.config, label)
        at = [1.0, math.exp(-0.5), math.exp(-2.0)]
        np.testing.assert_allclose(target[16, 16, [16, 22, 28]], at, rtol=1e-6)
        np.testing.assert_allclose(target[[22, 28], 16, 16], at[1:], rtol=1e-6)

    def test_the_squared_error_weighs_t_and_a_tenth(self):
        target = torch.tensor([0.0, 0.3, 1.0]).reshape(1, 1, 1, 1, 3)
        error = torch.tensor([0.5, -0.2, 0.4]).reshape(1, 1, 1, 1, 3)
        expected = (0.1 * 0.25 + 0.4 * 0.04 + 1.1 * 0.16) / 3
        assert loss_of(self.config)(target + error, target).item() == pytest.approx(expected)

    def test_sixteen_slices_become_4_2_1_and_1(self):
        assert depths("convnext_nano_25d", 16) == [4, 2, 1, 1]

    def test_each_slice_comes_with_two_on_either_side(self):
        network = built(self.config, narrow="convnext_nano_25d")
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        assert first.in_channels == 5

    def test_nothing_above_a_quarter_of_the_resolution_is_convolved_in_3d(self):
        sizes = convolved("convnext_nano_25d", (16, 128, 128))
        assert max(sizes) == (4, 32, 32)
        assert output_stride(self.config.model.network) == 1

    def test_the_rest(self):
        assert self.config.model.params["backbone"] == "convnext_nano"
        assert self.config.model.params["widths"] == [1024, 768, 256]
        assert self.config.candidates.method == "peaks"
        assert self.config.candidates.kernel == 7
        assert (self.config.augment.mixup, self.config.augment.mixup_probability) == ("losses", 0.5)
        assert self.config.train.crop == [16, 128, 128]
        optimizer = self.config.train.optimizer
        assert (optimizer.learning_rate, optimizer.weight_decay) == (1e-3, 0)
        assert (optimizer.batch_size, optimizer.ema_decay) == (32, 0.999)


class TestTattaka:
    """4th place, other half: resnetrs50_25d."""

    config = preset("resnetrs50_25d")

    def test_depth_is_halved_once(self):
        assert depths("resnetrs50_25d", 32) == [16] * 5

    def test_after_that_depth_is_smoothed_with_kernel_three(self):
        unet = next(
            m
            for m in built(self.config, narrow="resnetrs50_25d").modules()
            if isinstance(m, DepthPooledUNet)
        )
        volume = torch.zeros(1, 1, 64, 64, 64)
        volume[:, :, 32] = 1
        with torch.no_grad():
            maps, still = unet.encoder(volume), unet.encoder(torch.zeros_like(volume))
        changed = [
            int((a - b).abs().amax((0, 1, 3, 4)).gt(1e-6).sum())
            for a, b in zip(maps, still, strict=True)
        ]
        assert changed == [1, 1, 3, 5, 7]  # one slice more on either side with each smoothing

    def test_the_decoder_sees_neither_stem_nor_stage_one(self):
        assert self.config.model.params["skips"] == [2, 3, 4]

    def test_sigma_is_the_class_own(self):
        small, large = (drawn(self.config, c)[16, 16, 19] for c in (0, 1))
        assert small < large < 1

    def test_inner_maps_have_losses_in_training(self):
        network = built(self.config, narrow="resnetrs50_25d").train()
        assert len(network(torch.randn(2, 1, 32, 64, 64))) == 1 + len(self.config.loss.auxiliary)
        assert len(self.config.loss.auxiliary) > 0

    def test_particles_weigh_as_much_as_background(self):
        target = torch.zeros(1, 1, 1, 1, 100)
        target[..., 0] = 1
        loss = loss_of(self.config)
        missed, imagined = loss(torch.zeros_like(target), target), loss(target * 0 + 1, target)
        assert missed.item() == pytest.approx(imagined.item(), rel=0.02)


class TestHengck:
    """The public 2D-3D U-Net: unet25d_resnet34."""

    config = preset("unet25d_resnet34")

    def test_depth_is_halved_after_every_stage(self):
        assert depths("unet25d_resnet34", 64) == [32, 16, 8, 4, 2]

    def test_the_rest(self):
        assert self.config.model.params["backbone"] == "resnet34"
        assert len(self.config.model.params["widths"]) == 5
        assert self.config.train.crop == [64, 128, 128]
        assert self.config.candidates.method == "components"


class TestHenkel:
    """1st place, segmentation: flexunet_resnet34."""

    config = preset("flexunet_resnet34")

    def test_a_target_is_one_cell(self):
        target = drawn(self.config, 1)
        assert target.sum() == target[16, 16, 16] == 1

    def test_a_particle_weighs_64_times_the_background(self):
        logits = torch.zeros(1, 3, 1, 1, 2)
        target = torch.zeros(1, 2, 1, 1, 2)
        target[0, 0, 0, 0, 0] = 1  # one cell of a particle, one of background
        expected = (64 + 1) * math.log(3) / 2
        assert loss_of(self.config)(logits, target).item() == pytest.approx(expected)

    def test_every_batch_is_mixed_with_its_targets(self):
        assert (self.config.augment.mixup, self.config.augment.mixup_probability) == ("targets", 1)

    def test_the_output_has_half_the_resolution_and_one_auxiliary(self):
        network = built(self.config, narrow="flexunet_resnet34").train()
        main, inner = network(torch.randn(2, 1, 32, 32, 32))
        assert (main.shape[2:], inner.shape[2:]) == ((16, 16, 16), (8, 8, 8))
        assert self.config.loss.auxiliary == [1.0]
        assert self.config.train.crop == [96, 96, 96]
        assert self.config.model.params["channels"] == [256, 128, 64, 32, 16]


@pytest.mark.parametrize("name", ["points_segresnet", "points_dynunet"])
class TestKhvedchenya:
    """1st place, detection."""

    def test_the_heads_widths_and_the_first_scores(self, name):
        head = next(m for m in built(preset(name)).modules() if isinstance(m, PointsHead))
        assert (head.scores[0].out_channels, head.offsets[0].out_channels) == (48, 16)
        assert head.scores[-1].bias.tolist() == [-4.0] * len(TYPES)

    def test_assignment_and_losses(self, name):
        params = preset(name).loss.params
        assert (params["top"], params["least"], params["power"]) == (13, 0.05, 6)
        assert (params["alpha"], params["gamma"]) == (0.75, 2)

    def test_stride_crop_and_suppression(self, name):
        config = preset(name)
        assert output_stride(config.model.network) == 2
        assert config.train.crop == [96, 128, 128]
        assert (config.candidates.method, config.candidates.oks) == ("points", 0.85)
        assert config.train.optimizer.clip_norm == 3

    def test_rates(self, name):
        rate = {"points_segresnet": (5e-5, 1e-2), "points_dynunet": (3e-4, 1e-4)}[name]
        optimizer = preset(name).train.optimizer
        assert (optimizer.learning_rate, optimizer.weight_decay) == rate


class TestLuoAndWang:
    """2nd place: unet_tiny."""

    config = preset("unet_tiny")

    def test_it_has_1_1_million_parameters_instance_norm_and_prelu(self):
        network = built(self.config)
        count = sum(p.numel() for p in network.parameters())
        assert count / 1e6 == pytest.approx(1.1, abs=0.05)
        kinds = {type(m) for m in network.modules()}
        assert {nn.InstanceNorm3d, nn.PReLU} <= kinds
        assert not kinds & {nn.BatchNorm3d, nn.ReLU}

    @pytest.mark.parametrize(("label", "radius"), [(0, 80.0), (1, 150.0)])
    def test_spheres_of_four_tenths_of_its_own_radii(self, label, radius):
        target = drawn(self.config, label)
        reach = 0.4 * radius / SPACING
        distance = np.sqrt(np.square(np.stack(np.indices(target.shape)) - 16.0).sum(0))
        np.testing.assert_array_equal(target, distance <= reach + 1e-9)

    def test_a_miss_weighs_more_than_a_false_alarm(self):
        assert (self.config.loss.params["alpha"], self.config.loss.params["beta"]) == (0.3, 0.7)

    def test_seven_views_and_components(self):
        assert self.config.infer.views == 7
        assert self.config.candidates.method == "components"
        assert self.config.candidates.threshold == 0.15


def test_3rd_place_a_hundred_and_one_layers_and_larger_tiles_at_inference():
    config = preset("unet_resnet101")
    # Layers are counted as for ResNet: convolutions of the trunk and the classifier, without the
    # 1x1 convolutions on its shortcuts.
    params = config.model.params | {"width": 8, "channels": [8, 8, 8, 8, 8]}
    network = build_part("detector.networks", config.model.network, params, "model", n_classes=2)
    counts = [
        sum(isinstance(m, nn.Conv3d) for n, m in part.named_modules() if "downsample" not in n)
        for part in network.modules()
        if type(part).__name__.startswith("ResNet")
    ]
    assert max(counts) == 100
    assert np.prod(config.infer.tile) > np.prod(config.train.crop)


def test_per_slice_no_slice_sees_another_and_marks_are_linked():
    config = preset("slices")
    network = built(config, narrow="slices")
    assert not [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    volume = torch.randn(1, 1, 5, 32, 32)
    other = volume.clone()
    other[:, :, 2] = 0
    with torch.no_grad():
        same = (network(volume) == network(other)).all(-1).all(-1).all(1)[0]
    assert same.tolist() == [True, True, False, True, True]
    assert config.candidates.method == "linked"

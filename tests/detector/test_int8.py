"""Ranges are what was seen, roundings are those of the formula, and OpenVINO does the same sums."""

from __future__ import annotations

import copy
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.errors import ConfigError
from detector import engine as engines
from detector.engine import UnsupportedNetwork, make_engine, precision_in_force
from detector.int8 import (
    RoundedInput,
    RoundedWeight,
    measure_ranges,
    rounded,
    rounded_layers,
    rounding_error,
)
from detector.mean_network import MeanNetwork
from detector.members import by_layer
from detector.networks import unet_half
from detector.settings import InferSettings
from detector.subpixel import without_transposed

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
TILES = [torch.randn(1, 1, 16, 24, 32, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]


def network(seed: int = 0) -> nn.Module:
    """A U-Net with transposed convolutions, instance norms and skips."""
    torch.manual_seed(seed)
    return unet_half.build(3, stem=16, channels=(16, 16, 16, 16)).eval()


@pytest.fixture
def with_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cpu_has_int8", lambda: True)


def test_layers_of_few_channels_are_left_out() -> None:
    layers = {
        "first": nn.Conv3d(1, 16, 3),
        "inner": nn.Conv3d(16, 3, 1),
        "up": nn.ConvTranspose3d(16, 4, 3, stride=2, padding=1, output_padding=1),
        "apart": nn.ConvTranspose3d(16, 4, 2, stride=2),  # stays transposed
        "depthwise": nn.Conv2d(32, 32, 7, groups=32),
        "linear": nn.Linear(32, 4),
        "norm": nn.BatchNorm3d(32),
    }
    assert set(rounded_layers(nn.ModuleDict(layers))) == {"inner", "up", "linear"}


def test_ranges_are_the_extremes_over_all_tiles_and_hold_zero() -> None:
    module = nn.Sequential(nn.Conv3d(1, 16, 1), nn.ReLU(), nn.Conv3d(16, 2, 1)).eval()
    with torch.inference_mode():
        seen = torch.cat([module[:2](t).flatten() for t in TILES])
    (found,) = measure_ranges(module, TILES).values()
    assert found == (0.0, pytest.approx(float(seen.max())))
    assert not any(m._forward_pre_hooks for m in module.modules())


def test_inputs_are_rounded_to_256_steps_of_which_one_is_zero() -> None:
    x = torch.linspace(-3, 9, 5001)
    got = RoundedInput(-1.0, 4.1)(x)
    step = 5.1 / 255
    zero = round(1.0 / step)
    expected = (torch.round(x / step) + zero).clamp(0, 255).sub(zero).mul(step)
    # a value in the middle between two steps may go either way
    assert (got - expected).abs().max() <= step * 1.001
    assert ((got - expected).abs() < 1e-5).float().mean() > 0.999
    assert len(got.unique()) == 256
    assert (RoundedInput(-1.0, 4.1)(torch.zeros(1)) == 0).all()


def test_weights_have_255_steps_for_each_output_channel() -> None:
    weight = torch.randn(4, 8, 3, 3, 3) * torch.tensor([1e-3, 1.0, 50.0, 0.0]).view(4, 1, 1, 1, 1)
    got = RoundedWeight(weight)(weight)
    steps = weight.abs().flatten(1).amax(1) / 127
    assert ((got - weight).abs().flatten(1).amax(1) <= steps * 0.5001).all()
    assert got.isfinite().all()


def test_a_rounded_network_differs_a_little_and_the_original_not_at_all() -> None:
    module = network()
    before = copy.deepcopy(module.state_dict())
    ranges = measure_ranges(module, TILES)
    simulated = rounded(without_transposed(module), ranges).eval()
    # 8 bits in each of twelve layers; without training an answer is mostly noise
    assert 1e-3 < rounding_error(module, simulated, TILES) < 0.1
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    narrow = {name: (low / 20, high / 20) for name, (low, high) in ranges.items()}
    cut = rounded(without_transposed(module), narrow).eval()
    assert rounding_error(module, cut, TILES) > 0.2


@pytest.mark.parametrize("seen", [(0.0, 0.0), (-5e-324, 0.0), (0.0, 1e-300)])
def test_a_layer_that_saw_nothing_stays_as_it_is(seen: tuple[float, float]) -> None:
    module = nn.Sequential(nn.Conv3d(16, 2, 1)).eval()
    assert type(rounded(module, {"0": seen})[0]) is nn.Conv3d


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed")
def test_openvino_computes_the_rounded_network_in_8_bits(with_int8: None) -> None:
    module = network()
    ranges = measure_ranges(module, TILES)
    asked = InferSettings(precision="int8", accelerator="cpu")
    engine = make_engine(module, asked, 2, ranges=ranges)
    assert engine.name.startswith("OpenVINO int8")
    simulated = rounded(without_transposed(module), ranges).eval()
    with torch.inference_mode():
        expected = simulated(TILES[0]).numpy()
    got = engine(TILES[0].numpy())
    # bf16 between the layers tips some values to the next of 256 steps
    difference = np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2))
    assert difference < 0.1
    compiled = engine._core.compile_model(engine._model, "CPU", engine._config)
    operations = compiled.get_runtime_model().get_ordered_ops()
    kinds = [
        str(o.get_rt_info()["primitiveType"].value)
        for o in operations
        if str(o.get_rt_info()["layerType"].value) == "Convolution"
    ]
    assert len(kinds) >= len(ranges)
    if engines.cpu_has_int8():  # else OpenVINO may choose to compute in fp32
        eight = [k for k in kinds if k.lower().endswith("i8")]
        assert len(eight) >= 0.8 * len(ranges)


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed")
def test_members_of_a_mean_keep_their_own_ranges(with_int8: None) -> None:
    members = [network(0), network(1)]
    each = [measure_ranges(m, TILES) for m in members]
    asked = InferSettings(precision="int8", accelerator="cpu")
    apart = [make_engine(m, asked, 2, ranges=r) for m, r in zip(members, each, strict=True)]
    mean = MeanNetwork(members).eval()
    engine = make_engine(mean, asked, 2, ranges=by_layer(each))
    tile = TILES[0].numpy()
    # the same sums in the same steps
    np.testing.assert_allclose(engine(tile), np.mean([e(tile) for e in apart], axis=0), atol=1e-5)


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed")
@pytest.mark.parametrize(
    ("has", "ranges", "expected"),
    [(True, True, "int8"), (True, False, "plain"), (False, True, "plain")],
)
def test_auto_takes_int8_where_cpu_and_network_can(
    monkeypatch: pytest.MonkeyPatch, has: bool, ranges: bool, expected: str
) -> None:
    monkeypatch.setattr(engines, "cpu_has_int8", lambda: has)
    asked = InferSettings(accelerator="cpu")
    found = precision_in_force(asked, ranges)
    assert (found == "int8") == (expected == "int8")
    assert precision_in_force(InferSettings(accelerator="cpu", engine="torch"), ranges) != "int8"
    module = network()
    known = measure_ranges(module, TILES) if ranges else None
    assert found in make_engine(module, asked, 2, ranges=known).name


@pytest.mark.parametrize(
    ("has", "ranges", "changes", "message"),
    [
        (False, True, {}, "VNNI"),
        (True, False, {}, "train it again"),
        (True, True, {"engine": "torch"}, r"infer\.engine=auto"),
    ],
)
def test_int8_is_refused_where_it_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, has: bool, ranges: bool, changes: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(engines, "cpu_has_int8", lambda: has)
    asked = InferSettings(precision="int8", accelerator="cpu", **changes)  # type: ignore[arg-type]
    known = {"0": (0.0, 1.0)} if ranges else None
    with pytest.raises(ConfigError, match=message):
        make_engine(nn.Conv3d(1, 2, 1).eval(), asked, 1, ranges=known)
    if "engine" not in changes:
        with pytest.raises(ConfigError, match=message):
            precision_in_force(asked, ranges)


@pytest.mark.skipif(not HAS_OPENVINO, reason="OpenVINO is not installed")
def test_where_int8_says_something_else_auto_goes_on_without_it(
    monkeypatch: pytest.MonkeyPatch, with_int8: None, caplog: pytest.LogCaptureFixture
) -> None:
    from detector import parity

    def refuse(run: object, module: nn.Module, shape: tuple[int, ...], precision: str) -> None:
        if precision == "int8":
            raise UnsupportedNetwork("its output differs")

    monkeypatch.setattr(parity, "check_against_torch", refuse)
    module = network()
    ranges = measure_ranges(module, TILES)
    engine = make_engine(module, InferSettings(accelerator="cpu"), 2, ranges=ranges)
    assert engine.name.startswith("OpenVINO")
    assert "int8" not in engine.name
    assert "not in int8, since its output differs" in caplog.text
    asked = InferSettings(precision="int8", accelerator="cpu")
    with pytest.raises(ConfigError, match=r"infer\.precision=int8: its output differs"):
        make_engine(module, asked, 2, ranges=ranges)

"""Backends of the patch network: all of them say what torch says, for batches of any length."""

import copy
import importlib.util
import logging

import numpy as np
import pytest
import torch

from cryo_pick.errors import ConfigError
from detector.settings import InferSettings
from refiner import engine as engine_module
from refiner.engine import make_patch_engine
from refiner.networks.patch_net import build

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
K, PATCH, STRIDE = 3, 16, 2


def network(**options):
    torch.manual_seed(0)
    return build(K, channels=[8], blocks=[1], hidden=16, **options).eval()


def inputs(n):
    rng = np.random.default_rng(n)
    cells = PATCH // STRIDE
    shapes = [(n, 1, PATCH, PATCH, PATCH), (n, K, cells, cells, cells), (n, K)]
    return tuple(rng.random(shape, np.float32) for shape in shapes)


@pytest.mark.parametrize(
    "kind",
    [
        "torch",
        pytest.param("openvino", marks=pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")),
    ],
)
@pytest.mark.parametrize("options", [{}, {"heatmap": False}, {"heatmap": False, "scores": False}])
def test_every_backend_says_what_torch_says(kind, options):
    asked = InferSettings(engine=kind, accelerator="cpu", precision="fp32")
    engine = make_patch_engine(network(**options), asked, K, PATCH, STRIDE)
    assert engine.name.lower().startswith(kind)
    module = network(**options)
    for n in (1, 5, 2):
        with torch.inference_mode():
            expected = module(*map(torch.from_numpy, inputs(n)))
        for mine, theirs in zip(engine(inputs(n)), expected, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-4)


@pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")
def test_a_network_that_openvino_gets_wrong_goes_to_torch(monkeypatch, caplog):
    from detector import openvino_convert

    def convert_another(module, example):
        other = copy.deepcopy(module)
        with torch.no_grad():
            other.classify.weight.mul_(-3)
        return convert(other, example)

    convert = openvino_convert.converted
    monkeypatch.setattr(openvino_convert, "converted", convert_another)
    asked = InferSettings(accelerator="cpu", precision="fp32")
    with caplog.at_level(logging.WARNING):
        engine = make_patch_engine(network(), asked, K, PATCH, STRIDE)
    assert engine.name.startswith("torch")
    assert "differs from torch's" in caplog.text
    asked = InferSettings(accelerator="cpu", precision="fp32", engine="openvino")
    with pytest.raises(ConfigError, match="the refiner: its output differs"):
        make_patch_engine(network(), asked, K, PATCH, STRIDE)


def test_without_openvino_torch_is_taken(monkeypatch):
    monkeypatch.setattr(engine_module.importlib.util, "find_spec", lambda name: None)
    asked = InferSettings(accelerator="cpu", precision="fp32")
    assert make_patch_engine(network(), asked, K, PATCH, STRIDE).name == "torch fp32 on cpu"

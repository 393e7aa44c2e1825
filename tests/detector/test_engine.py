import importlib.util
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import detector.engine
from cryo_pick.errors import ConfigError
from cryo_pick.hardware import cpu_has_bf16
from detector.engine import (
    NetworkGeometry,
    UnsupportedNetwork,
    cpu_precision,
    make_engine,
    precision_in_force,
)
from detector.engine_torch import TorchEngine
from detector.infer import predict_heatmap
from detector.kept_geometry import kept_geometry, kept_receptive_field
from detector.network_geometry import (
    effective_receptive_field,
    measure_geometry,
    peak_bytes,
)
from detector.settings import InferSettings

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
HAS_ONNX = all(map(importlib.util.find_spec, ("onnx", "onnxruntime")))
ENGINES = [
    "torch",
    pytest.param("openvino", marks=pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")),
    pytest.param("onnx", marks=pytest.mark.skipif(not HAS_ONNX, reason="no ONNX Runtime")),
]
CPU = torch.device("cpu")


def small_network():
    """Stride 2, three classes, tiles in multiples of 4, instance norm."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, stride=2, padding=1),
        nn.InstanceNorm3d(8),
        nn.PReLU(),
        Halved(8),
        nn.Conv3d(8, 3, 1),
    )


class Halved(nn.Module):
    """A skip connection around half the resolution, as in a U-Net."""

    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv3d(channels, channels, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose3d(channels, channels, 2, stride=2)

    def forward(self, x):
        return x + self.up(torch.relu(self.down(x)))


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return make_engine(small_network(), InferSettings(engine=request.param, accelerator="cpu"), 2)


def test_every_engine_gives_what_torch_gives(engine):
    network = small_network().eval()
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 8, 12, 16), (2, 1, 12, 8, 8), (1, 1, 8, 12, 16)):
        tiles = rng.standard_normal(shape, np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(tiles)).numpy()
        got = engine(tiles)
        assert got.dtype == np.float32
        # fp32 in another order of summation; OpenVINO's instance norm is good to some 1e-4.
        # bf16, the default where the CPU has it: 8 bits, values up to 4, a few roundings.
        tolerance = 3e-2 if "bf16" in engine.name else 2e-3
        np.testing.assert_allclose(got, expected, atol=tolerance)
        again = engine(tiles)
        np.testing.assert_array_equal(got, again)


def test_an_engine_measures_its_network(engine):
    assert engine.geometry.n_classes == 3
    assert engine.geometry.multiple == 4
    assert engine.output_stride == 2
    assert all(3 <= field <= 11 for field in engine.receptive_field)
    assert "fp32" in engine.name or "bf16" in engine.name


def test_the_memory_of_a_network_is_what_its_activations_take():
    # 8 channels at an eighth of the voxels, float32, twice (before and after a layer), at least
    assert 2 * 8 * 4 / 8 <= measure_geometry(small_network(), 2).bytes_per_voxel <= 20
    assert peak_bytes(lambda: torch.zeros(1000).add(1).add(1)) == 2 * 4000


def test_the_receptive_field_of_a_convolution_is_its_kernel():
    stack = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 5, padding=2))
    assert effective_receptive_field(stack, 2, mass=1.0) == (7, 7, 7)
    flat = nn.Conv3d(1, 1, (1, 3, 5), padding=(0, 1, 2))
    assert effective_receptive_field(flat, 2, mass=1.0) == (1, 3, 5)


def test_a_measured_geometry_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path))
    measured = measure_geometry(small_network(), 2)
    assert kept_geometry(small_network(), 2) == measured
    (file,) = (tmp_path / "geometries").iterdir()
    another = NetworkGeometry(7, 7, 7.0, 7)
    monkeypatch.setattr("detector.network_geometry.measure_geometry", lambda *_: another)
    assert kept_geometry(small_network(), 2) == measured
    for damaged in (
        "",
        "[]",
        "[2, 2, 1.0, null]",
        "[2, -2, 1.0, 2]",
        '["a", 2, 1.0, 2]',
        "[2, 2, 1.0]",
    ):
        file.write_text(damaged)
        assert kept_geometry(small_network(), 2) == another, damaged


def test_picking_needs_no_compiler():
    """It would stay in memory, as would whatever only training needs."""
    code = (
        "import sys, cryo_pick.pipeline.batch as _; "
        "print([m for m in ('torch._dynamo', 'sympy', 'lightning_fabric', 'monai', 'timm') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_measured_receptive_field_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path))
    measured = effective_receptive_field(small_network(), 4)
    assert kept_receptive_field(small_network(), 4) == measured
    (file,) = (tmp_path / "receptive-fields").iterdir()
    monkeypatch.setattr("detector.network_geometry.effective_receptive_field", lambda *_: (9, 9, 9))
    assert kept_receptive_field(small_network(), 4) == measured
    other = nn.Conv3d(1, 3, 5, padding=2)
    assert kept_receptive_field(other, 4) == (9, 9, 9)
    file.write_text("damaged")
    assert kept_receptive_field(small_network(), 4) == (9, 9, 9)


def test_measuring_changes_nothing_in_the_network():
    network = small_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    effective_receptive_field(network, 4)
    measure_geometry(network, 2)
    make_engine(network, InferSettings(engine="torch", accelerator="cpu"), 2)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_of_another_stride_is_refused():
    with pytest.raises(ValueError, match="with s = 4, but got"):
        measure_geometry(nn.Conv3d(1, 2, 1), 4)
    with pytest.raises(ValueError, match="with s = 2, but got"):
        measure_geometry(nn.Conv3d(3, 2, 3, stride=2, padding=1), 2)


@pytest.mark.parametrize("kind", ENGINES)
def test_an_identity_network_returns_the_volume(kind):
    engine = make_engine(nn.AvgPool3d(2), InferSettings(engine=kind, accelerator="cpu"), 2)
    volume = np.random.default_rng(1).random((11, 18, 23), np.float32)
    asked = InferSettings(tile=[8, 8, 8], overlap=[4, 4, 4], views=8)
    heatmap = predict_heatmap(volume, [engine], asked, 1, 2)
    whole = volume[:10, :18, :22].reshape(5, 2, 9, 2, 11, 2).mean((1, 3, 5))
    # float16 holds values up to 1 to within 0.00025
    np.testing.assert_allclose(heatmap.values[0, :5, :9, :11], whole, atol=3e-4)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_half_precision_is_close_to_single(precision, tolerance):
    tiles = np.random.default_rng(2).standard_normal((1, 1, 8, 8, 8)).astype(np.float32)
    full = TorchEngine(small_network(), 2, "fp32", CPU)(tiles)
    half = TorchEngine(small_network(), 2, precision, CPU)(tiles)
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < tolerance * np.abs(full).max()


def test_auto_takes_openvino_on_a_cpu_and_says_so(caplog):
    with caplog.at_level(logging.INFO):
        engine = make_engine(small_network(), InferSettings(accelerator="cpu"), 2)
    precision = "bf16" if cpu_has_bf16() else "fp32"
    expected = f"OpenVINO {precision}" if HAS_OPENVINO else f"torch {precision}"
    assert engine.name.startswith(expected)
    assert engine.name in caplog.text
    assert precision in caplog.text


def test_without_openvino_auto_takes_torch_and_openvino_is_refused(monkeypatch, caplog):
    monkeypatch.setattr(detector.engine.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO):
        engine = make_engine(small_network(), InferSettings(accelerator="cpu"), 2)
    assert engine.name.startswith("torch")
    assert "OpenVINO is not installed" in caplog.text
    with pytest.raises(ConfigError, match=r"pip install 'cryo-pick\[openvino\]'"):
        make_engine(small_network(), InferSettings(engine="openvino", accelerator="cpu"), 2)


@pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")
def test_a_network_that_openvino_gets_wrong_goes_to_torch(monkeypatch, caplog):
    import detector.openvino_convert as openvino_convert

    def convert_another(module, edge):
        other = small_network()
        with torch.no_grad():
            other[0].weight.mul_(-1)
        return convert(other.eval(), edge)

    convert = openvino_convert.convert_network
    monkeypatch.setattr(openvino_convert, "convert_network", convert_another)
    with caplog.at_level(logging.WARNING):
        engine = make_engine(small_network(), InferSettings(accelerator="cpu"), 2)
    assert engine.name.startswith("torch")
    assert "differs from torch's" in caplog.text
    with pytest.raises(ConfigError, match=r"infer\.engine=openvino: its output differs"):
        make_engine(small_network(), InferSettings(engine="openvino", accelerator="cpu"), 2)


@pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")
def test_a_network_that_openvino_cannot_convert_is_unsupported():
    from detector.engine_openvino import OpenVinoEngine

    class Inverse(nn.Module):
        def forward(self, x):
            return torch.nn.functional.avg_pool3d(torch.special.i1e(torch.linalg.pinv(x)), 2)

    with pytest.raises(UnsupportedNetwork, match=r"it does not (convert|compile)"):
        OpenVinoEngine(Inverse(), 2, "fp32")


def test_a_precision_that_the_cpu_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(detector.engine, "cpu_has_bf16", lambda: False)
    with pytest.raises(ConfigError, match=r"infer\.precision=bf16: this CPU has no bf16"):
        cpu_precision("bf16")
    with pytest.raises(ConfigError, match="precision=fp16 needs a GPU"):
        cpu_precision("fp16")
    for kind in ("auto", "torch"):
        asked = InferSettings(engine=kind, precision="bf16", accelerator="cpu")
        with pytest.raises(ConfigError, match="no bf16"):
            make_engine(small_network(), asked, 2)


def test_bf16_is_honoured_where_the_cpu_has_it(monkeypatch):
    monkeypatch.setattr(detector.engine, "cpu_has_bf16", lambda: True)
    asked = InferSettings(engine="torch", precision="bf16", accelerator="cpu")
    assert "bf16" in make_engine(small_network(), asked, 2).name


def test_settings_that_name_nothing_are_refused():
    with pytest.raises(ConfigError, match=r"infer\.engine: expected auto, torch, openvino"):
        make_engine(small_network(), InferSettings(engine="magic", accelerator="cpu"), 2)


def test_what_an_engine_cannot_do_is_said(monkeypatch):
    cases = [
        ({"engine": "tensorrt"}, r"infer\.engine=tensorrt"),
        ({"engine": "onnx", "precision": "bf16"}, r"infer\.engine=onnx runs in fp32"),
        ({"engine": "torch", "cuda_graphs": True}, r"infer\.cuda_graphs=true needs an NVIDIA GPU"),
    ]
    for changes, message in cases:
        with pytest.raises(ConfigError, match=message):
            make_engine(small_network(), InferSettings(accelerator="cpu", **changes), 2)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"onnxruntime not installed; pip install 'cryo-pick\[onnx"
    ):
        make_engine(small_network(), InferSettings(engine="onnx", accelerator="cpu"), 2)


def test_a_compiled_network_says_the_same(monkeypatch):
    compiled = []

    def eager(module, *, dynamic):  # the real compiler takes many seconds
        compiled.append(dynamic)
        return torch._dynamo.optimize("eager", dynamic=dynamic)(module)

    monkeypatch.setattr(torch, "compile", eager)
    asked = InferSettings(engine="torch", accelerator="cpu", precision="fp32", compile=True)
    engine = make_engine(small_network(), asked, 2)
    assert compiled == [False]
    assert "compiled" in engine.name
    tiles = np.random.default_rng(4).standard_normal((1, 1, 8, 8, 12)).astype(np.float32)
    np.testing.assert_array_equal(
        engine(tiles), TorchEngine(small_network(), 2, "fp32", CPU)(tiles)
    )


def test_the_precision_in_force_is_what_an_engine_would_take(monkeypatch):
    asked = InferSettings(accelerator="cpu")
    for has in (False, True):
        monkeypatch.setattr(detector.engine, "cpu_has_bf16", lambda has=has: has)
        monkeypatch.setattr("cryo_pick.hardware.cpu_has_bf16", lambda has=has: has)
        assert precision_in_force(asked) == ("bf16" if has else "fp32")
    assert precision_in_force(InferSettings(engine="onnx", accelerator="cpu")) == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no CUDA device"):
        make_engine(small_network(), InferSettings(accelerator="cuda"), 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_gpu_gives_what_the_cpu_gives(precision):
    tiles = np.random.default_rng(3).standard_normal((4, 1, 16, 16, 16)).astype(np.float32)
    full = TorchEngine(small_network(), 2, "fp32", CPU)(tiles)
    gpu = make_engine(small_network(), InferSettings(precision=precision), 2)
    assert np.abs(gpu(tiles) - full).max() < 0.05 * np.abs(full).max()


@pytest.mark.skipif(not HAS_OPENVINO, reason="no OpenVINO")
def test_openvino_does_not_report_to_its_makers():
    code = (
        "import detector.engine_openvino\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"

"""A bundle that was used before picks without torch, which takes long to import and much memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cryo_pick.config import compose
from cryo_pick.errors import InputError
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.members import bundle_member, bundle_members
from cryo_pick.pipeline.whole import get_ready
from tests.faults.tiny import write_tiny_bundle, write_tomograms

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)
DETECTOR = "detector/fold0"
COMMAND = """
import sys
if sys.argv[1] == "without":
    sys.modules["torch"] = None  # importing it fails
from cryo_pick.cli import main
code = main(sys.argv[2:])
print(f"torch was imported: {sys.modules.get('torch') is not None}")
sys.exit(code)
"""


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "bundle")


def predicted(how: str, words: Sequence[str], cache: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CRYO_PICK_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", COMMAND, how, "predict", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


@needs_openvino
def test_the_second_time_torch_is_not_needed(own_bundle: Path, tmp_path: Path) -> None:
    tomograms = write_tomograms(tmp_path / "tomograms", 1)
    words = [str(tomograms), "--model", str(own_bundle), "infer.accelerator=cpu", "--out"]
    first = predicted("with", [*words, str(tmp_path / "first")], tmp_path / "cache")
    assert "torch was imported: True" in first.stdout, first.stderr
    second = predicted("without", [*words, str(tmp_path / "second")], tmp_path / "cache")
    assert second.returncode == 0, second.stderr
    assert "torch was imported: False" in second.stdout
    texts = [(tmp_path / name / "picks.csv").read_text() for name in ("first", "second")]
    assert texts[0] == texts[1]
    assert texts[0].count("\n") > 10


@needs_openvino
def test_where_it_was_trained_torch_is_not_needed_the_first_time(
    own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path / "cache"))
    get_ready(own_bundle, compose(["infer.accelerator=cpu"]))
    tomograms = write_tomograms(tmp_path / "tomograms", 1)
    words = [str(tomograms), "--model", str(own_bundle), "--out", str(tmp_path / "out")]
    words += ["infer.tile=[16,32,32]"]  # several, for which the receptive field has to be known
    first = predicted("without", words, tmp_path / "cache")
    assert first.returncode == 0, first.stderr


def test_a_bundle_that_does_not_load_is_not_lost(
    own_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = own_bundle / f"{DETECTOR}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    get_ready(own_bundle, compose(["infer.accelerator=cpu"]))
    assert "this machine can't run the bundle: " in caplog.text


def test_what_was_built_once_is_not_built_again(
    own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def count(path: Path, package: str) -> tuple[None, None]:
        built.append(path)
        return None, None

    monkeypatch.setattr("cryo_pick.weights.load_network", count)
    bundle = read_bundle(own_bundle)

    def strides() -> list[int]:
        return [m.built_stride() for stage in bundle_members(own_bundle, bundle) for m in stage]

    assert strides() == strides() == [2, 1]
    assert len(built) == 2
    description = own_bundle / f"{DETECTOR}.yaml"
    description.write_text(description.read_text() + "\n")  # says the same
    assert strides() == [2, 1]
    assert built[2:] == [own_bundle / DETECTOR]


def test_a_broken_network_is_refused_each_time(own_bundle: Path) -> None:
    weights = own_bundle / f"{DETECTOR}.safetensors"
    good = weights.read_bytes()
    bundle = read_bundle(own_bundle)

    def build() -> int:
        return bundle_member(own_bundle, bundle, DETECTOR, "detector.networks").built_stride()

    assert build() == 2
    weights.write_bytes(good[:-4])
    for _ in range(2):
        with pytest.raises(InputError, match="not the weights of the network"):
            build()
    weights.write_bytes(good)
    assert build() == 2
    weights.unlink()
    with pytest.raises(InputError, match="no such file"):
        build()

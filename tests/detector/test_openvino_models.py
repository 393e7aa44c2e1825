"""A model that was kept is the one that was converted, and only for what it was converted from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("openvino")

from cryo_pick.network_source import NetworkSource
from detector import openvino_convert, openvino_models
from detector.engine import UnsupportedNetwork
from detector.engine_openvino import OpenVinoEngine

TILE = np.random.default_rng(0).standard_normal((1, 1, 8, 12, 8), np.float32)


def network(seed: int = 0, width: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(1, width, 3, stride=2, padding=1), nn.Conv3d(width, 2, 1)).eval()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path))
    return tmp_path / "openvino-models"


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each conversion."""
    done: list[int] = []
    convert = openvino_convert.convert_network

    def counted(module: nn.Module, edge: int) -> object:
        done.append(edge)
        return convert(module, edge)

    monkeypatch.setattr(openvino_convert, "convert_network", counted)
    return done


def engine(module: nn.Module) -> OpenVinoEngine:
    weights = b"".join(v.numpy().tobytes() for v in module.state_dict().values())
    source = NetworkSource(lambda: module, hashlib.blake2b(weights).hexdigest())
    return OpenVinoEngine(source, 2, "fp32")


def test_a_kept_model_answers_the_same_bits(cache: Path, conversions: list[int]) -> None:
    first, second = (engine(network())(TILE) for _ in range(2))
    assert len(conversions) == 1
    np.testing.assert_array_equal(first, second)
    assert len(list(cache.iterdir())) == 1


def test_other_weights_or_layers_are_another_model(cache: Path, conversions: list[int]) -> None:
    for module in (network(), network(seed=1), network(width=5)):
        with torch.inference_mode():
            expected = module(torch.from_numpy(TILE)).numpy()
        # fp32 sums in another order
        np.testing.assert_allclose(engine(module)(TILE), expected, atol=1e-5)
    assert len(conversions) == 3


@pytest.mark.parametrize("suffix", ["xml", "bin"])
def test_a_damaged_model_is_converted_again(
    cache: Path, conversions: list[int], suffix: str
) -> None:
    expected = engine(network())(TILE)
    (folder,) = cache.iterdir()
    (folder / f"model.{suffix}").write_bytes(b"")
    np.testing.assert_array_equal(engine(network())(TILE), expected)
    assert len(conversions) == 2


def test_what_differs_from_torch_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = openvino_convert.convert_network
    monkeypatch.setattr(
        openvino_convert, "convert_network", lambda _, edge: convert(network(seed=2), edge)
    )
    with pytest.raises(UnsupportedNetwork, match="differs from torch"):
        engine(network())
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path / "file"))
    assert engine(network())(TILE).shape == (1, 2, 4, 6, 4)


def test_models_that_were_not_used_for_longest_go(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_models, "_MOST_KEPT", 2)
    for seed in range(4):
        engine(network(seed=seed))
    assert len(list(cache.iterdir())) == 2

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cryo_pick.errors import ConfigError, InputError, OutOfMemory
from cryo_pick.memory import parse_memory
from cryo_pick.pipeline import fallback
from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.fallback import (
    fallbacks,
    is_out_of_memory,
    pick_within_memory,
    smaller_tiles,
)
from cryo_pick.pipeline.picker import Picker
from detector.settings import InferSettings


def _picker(infer: InferSettings) -> Picker:
    bundle = Bundle(None, 10.0, "", {}, (), (), {}, {}, {}, {"batch_size": 12})  # type: ignore[arg-type]
    return Picker(None, bundle, False, infer, None, "", (), ())  # type: ignore[arg-type]


def test_the_order_on_a_gpu_and_on_a_cpu() -> None:
    asked = InferSettings(memory="8GB", precision="fp16")
    gpu = [(i.accelerator, i.precision, i.memory) for _, i, _ in fallbacks(asked, True)]
    assert gpu == [
        ("auto", "fp16", "4000000000B"),
        ("auto", "fp16", "2000000000B"),
        ("auto", "fp16", "1000000000B"),
        ("cpu", "auto", "8GB"),
        ("cpu", "auto", "4000000000B"),
        ("cpu", "auto", "2000000000B"),
        ("cpu", "auto", "1000000000B"),
    ]
    cpu = [i.accelerator for _, i, _ in fallbacks(asked, False)]
    assert cpu == ["auto"] * 3


@example([16, 24, 24])
@given(st.lists(st.integers(2, 60).map(lambda n: 8 * n), min_size=3, max_size=3))
def test_a_given_tile_shrinks_but_stays_a_tile(tile: list[int]) -> None:
    for share in fallback.SHARES:
        smaller = smaller_tiles(InferSettings(tile=tile, overlap=[8, 8, 8]), share)
        assert smaller.tile is not None
        assert smaller.overlap is None
        assert all(16 <= s <= t and s % 8 == 0 for s, t in zip(smaller.tile, tile, strict=True))
        assert np.prod(smaller.tile) <= max(np.prod(tile) / share, 16**3)


def test_memory_is_divided() -> None:
    assert parse_memory(smaller_tiles(InferSettings(memory="1.5GiB"), 4).memory) == 3 * 2**27


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((9,), np.dtype("f4")), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (OutOfMemory("a batch"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("shape mismatch"), False),
        (InputError("out of memory of the beamline"), False),
    ],
)
def test_what_is_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_each_step_is_logged_and_batches_shrink(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fallback, "on_gpu", lambda _: True)
    tried, loaded = [], []

    def pick(picker: Picker) -> str:
        tried.append((picker.infer.accelerator, picker.bundle.refiner["batch_size"]))
        if len(tried) == 3:
            raise ConfigError("infer.memory=2GB: no tile fits")
        if picker.infer.accelerator != "cpu":
            raise OutOfMemory("no")
        return "picked"

    def load(picker: Picker) -> Picker:
        loaded.append(picker.infer.accelerator)
        return picker

    answer, warnings = pick_within_memory(pick, _picker(InferSettings(memory="8GB")), load)
    assert answer == "picked"
    assert tried == [("auto", 12), ("auto", 6), ("auto", 3), ("auto", 1), ("cpu", 12)]
    assert loaded == ["cpu"]
    assert warnings == ["ran out of memory; done with the CPU, so scores may differ a little"]
    assert caplog.text.count("trying again with") == 4


def test_nothing_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "on_gpu", lambda _: False)

    def pick(picker: Picker) -> None:
        raise MemoryError

    with pytest.raises(OutOfMemory, match="1/2 of the memory, tiles of 1/4"):
        pick_within_memory(pick, _picker(InferSettings()), lambda p: p)


def test_other_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "on_gpu", lambda _: False)

    def pick(picker: Picker) -> None:
        raise ConfigError("no such engine")

    with pytest.raises(ConfigError, match="no such engine"):
        pick_within_memory(pick, _picker(InferSettings()), lambda p: p)

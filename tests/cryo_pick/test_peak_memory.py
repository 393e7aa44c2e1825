import subprocess
import sys

import numpy as np
import pytest

from cryo_pick import peak_memory
from cryo_pick.peak_memory import measured_peak

MIB = 2**20


@pytest.mark.skipif(not peak_memory.FORGET.exists(), reason="needs Linux' /proc/self/clear_refs")
def test_a_step_is_measured_by_itself() -> None:
    peaks: dict[str, int] = {}
    with measured_peak(peaks, "small"):
        pass
    with measured_peak(peaks, "large"):
        np.ones(256 * MIB, np.uint8)
    with measured_peak(peaks, "after"):
        pass
    # the allocator and other threads may move by some MiB
    assert peaks["large"] - peaks["small"] == pytest.approx(256 * MIB, abs=32 * MIB)
    assert peaks["after"] < peaks["large"] - 200 * MIB


def test_a_process_that_was_started_counts() -> None:
    # in a process of its own: the system keeps the largest child for ever, and other tests start
    # larger ones
    scene = f"""
import subprocess, sys
from cryo_pick.peak_memory import measured_peak
peaks = {{}}
with measured_peak(peaks, "none"):
    pass
with measured_peak(peaks, "child"):
    subprocess.run([sys.executable, "-c", "bytearray({512 * MIB})"], check=True)
print(peaks["none"], peaks["child"])
"""
    out = subprocess.run(
        [sys.executable, "-c", scene], check=True, capture_output=True, text=True
    ).stdout
    alone, with_child = map(int, out.split())
    assert alone < 512 * MIB <= with_child


def test_a_step_that_fails_notes_nothing() -> None:
    peaks: dict[str, int] = {}
    with pytest.raises(KeyError), measured_peak(peaks, "a"):
        raise KeyError("k")
    assert peaks == {}


def test_without_proc_it_is_the_peak_since_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(peak_memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(peak_memory, "FORGET", tmp_path / "no" / "clear_refs")
    peaks: dict[str, int] = {}
    with measured_peak(peaks, "a"):
        pass
    assert peaks["a"] > 10 * MIB

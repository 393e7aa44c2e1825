"""A signal after engines have come and gone finds the handler, not a freed stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

SCENE = """
import gc, os, signal
from torch import nn
from detector.engine_openvino import OpenVinoEngine

engines = [OpenVinoEngine(nn.Conv3d(1, 2, 3, padding=1), 1, "fp32") for _ in range(2)]
for _ in range(2):  # in the order in which they were made
    del engines[0]
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(os.name == "nt", reason="a signal there ends the process at once")
def test_a_signal_is_handled_after_engines_are_gone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCENE],
        env={**os.environ, "CRYO_PICK_CACHE": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr

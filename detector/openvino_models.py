"""Networks as OpenVINO models, as they were kept when they were last converted.

To convert one takes torch and a second or two, most of it torch's tracing, so `cryo-pick predict`
keeps the models of a bundle in the cache folder, once they have been compared with torch.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick.cache import default_cache_folder
from cryo_pick.hardware import compute_threads, cpu_has_bf16
from cryo_pick.network_source import joined_key

# Importing OpenVINO tells its makers, over the network, unless the package that does so is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402

_CONVOLUTIONS = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}
_MOST_KEPT = 32
"""Models in the cache folder; the ones that were not used for longest go."""


@functools.cache
def openvino_core() -> openvino.Core:
    """The one Core of this process.

    Each Core gives the thread that made it a signal stack of its own and, when it goes, puts back
    the one it found. Of two that don't go in the reverse order of their making, the second puts
    back what the first freed, and the next signal with a handler (SIGTERM, Ctrl-C) ends the process
    with a segmentation fault.
    """
    return openvino.Core()


def cpu_config(precision: str) -> dict[str, Any]:
    """How a model is compiled: for one request at a time, on all threads of this process.

    In int8, what a model doesn't round runs in bf16 where the CPU has it.
    """
    half = precision == "bf16" or (precision == "int8" and cpu_has_bf16())
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "INFERENCE_NUM_THREADS": compute_threads(),
        "NUM_STREAMS": 1,
    }


def convolution_seconds(model: Any, shape: tuple[int, ...], precision: str, repeats: int) -> float:
    """Seconds that a model's convolutions take, of the fastest of several runs on noise.

    As OpenVINO counts them: of convolutions, transposed ones and matrix products, each with what it
    was fused with, and without what lies between.

    Parameters
    ----------
    model
        Left as it is.
    shape
        Of its input.
    precision
        fp32, bf16 or int8.
    repeats
        The fastest of so many counts, after a first one.
    """
    copied = model.clone()
    copied.reshape({0: openvino.PartialShape(list(shape))})
    config = {**cpu_config(precision), "PERF_COUNT": True}
    request = openvino_core().compile_model(copied, "CPU", config).create_infer_request()
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    found = []
    for _ in range(1 + repeats):
        request.infer([noise], share_inputs=True, share_outputs=True)
        nodes = [n for n in request.get_profiling_info() if n.node_type in _CONVOLUTIONS]
        found.append(sum((n.real_time for n in nodes), timedelta()).total_seconds())
    return min(found[1:])


def model_key(source_key: str, how: str) -> str:
    """What a converted and checked model is called after: all that it depends on.

    Parameters
    ----------
    source_key
        Of the network.
    how
        What else matters, in words: precision, shapes of inputs.
    """
    device = openvino_core().get_property("CPU", "FULL_DEVICE_NAME")
    return joined_key([source_key, how, openvino.__version__, device])


def kept_model(key: str) -> Any | None:
    """The model that was kept under a key; None where there is none that can be read."""
    folder = _folder() / key
    try:
        model = openvino_core().read_model(folder / "model.xml")
        os.utime(folder)  # used now
    except (RuntimeError, OSError):
        return None
    return model


def keep_model(key: str, model: Any) -> Any:
    """Keep a model that was compared with torch; whole or, on a full disk say, not at all.

    Returns
    -------
    The model as it was kept, as the next run will have it: in bf16, OpenVINO rounds elsewhere in a
    model that it has just converted. Where nothing could be kept, the model itself.
    """
    folder = _folder()
    with contextlib.suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as made:
            part = Path(made) / key
            openvino.save_model(model, part / "model.xml", compress_to_fp16=False)
            part.rename(folder / key)  # refused where another process has been as fast
        models = [p for p in folder.iterdir() if not p.name.startswith(".")]
        for old in sorted(models, key=lambda p: -p.stat().st_mtime)[_MOST_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    kept = kept_model(key)
    return model if kept is None else kept


def _folder() -> Path:
    return default_cache_folder() / "openvino-models"

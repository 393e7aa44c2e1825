"""Networks as OpenVINO models: converted with torch, or as they were kept when they last were.

To convert one takes a second or two, most of it torch's tracing, so `cryo-pick predict` keeps the
models of a bundle in the cache folder, once they have been compared with torch.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cryo_pick.cache import default_cache_folder
from cryo_pick.hardware import cpu_has_bf16
from detector.engine import UnsupportedNetwork
from detector.network_geometry import architecture

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
    """How a model is compiled: for one request at a time on torch's number of threads.

    In int8, what a model doesn't round runs in bf16 where the CPU has it.
    """
    half = precision == "bf16" or (precision == "int8" and cpu_has_bf16())
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }


def converted(module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """A module as an OpenVINO model, traced on example arguments.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert it.
    """
    with warnings.catch_warnings():
        # OpenVINO traces with torch.jit, which is deprecated but three times as fast as export,
        # and warns of every shape that a network looks at; the check covers what could go wrong.
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                # Left to OpenVINO, torch traces twice to compare, and loads much for that.
                traced = torch.jit.trace(module, example, check_trace=False, strict=False)
            return openvino.convert_model(traced, example_input=example)
        except Exception as error:  # its front end raises whatever the network's code raises
            raise UnsupportedNetwork(f"it does not convert ({error})") from error


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


def model_key(module: nn.Module, precision: str, how: str, code: Sequence[ModuleType] = ()) -> str:
    """What a converted and checked model is called after: all that it depends on.

    Parameters
    ----------
    module
        With its weights.
    precision
        That it was compared with torch in.
    how
        Shapes of its inputs, and what else matters, in words.
    code
        Modules whose code changes the network before it is converted.
    """
    device = openvino_core().get_property("CPU", "FULL_DEVICE_NAME")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(architecture(module, how).encode())
    for changed_by in code:
        digest.update(Path(str(changed_by.__file__)).read_bytes())
    digest.update(f"{precision} {openvino.__version__} {device}".encode())
    for value in module.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def kept_model(key: str) -> Any | None:
    """The model that was kept under a key; None where there is none that can be read."""
    folder = _folder() / key
    try:
        model = openvino_core().read_model(folder / "model.xml")
        os.utime(folder)  # used now
    except (RuntimeError, OSError):
        return None
    return model


def keep_model(key: str, model: Any) -> None:
    """Keep a model that was compared with torch; whole or, on a full disk say, not at all."""
    folder = _folder()
    with contextlib.suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as made:
            part = Path(made) / key
            openvino.save_model(model, part / "model.xml", compress_to_fp16=False)
            part.rename(folder / key)  # refused where another process has been as fast
        kept = [p for p in folder.iterdir() if not p.name.startswith(".")]
        for old in sorted(kept, key=lambda p: -p.stat().st_mtime)[_MOST_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def _folder() -> Path:
    return default_cache_folder() / "openvino-models"

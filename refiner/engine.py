"""Patch networks ready to run: arrays in, arrays out, whatever the backend."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import ConfigError
from cryo_pick.hardware import choose_device, choose_precision, on_gpu
from cryo_pick.network_source import NetworkSource, as_source
from detector.engine import UnsupportedNetwork, cpu_precision
from detector.settings import InferSettings

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

OFFSET_UNIT = 10.0
"""Å that an offset of 1 at a network's output stands for."""
Inputs = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Patches (b, 1, p, p, p), heatmaps (b, k, p/s, p/s, p/s), stage-1 scores (b, k)."""


class PatchEngine(Protocol):
    """A patch network ready to run.

    Attributes
    ----------
    name
        Backend, precision and device, for people.
    """

    name: str

    def __call__(self, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (b, k + 1), and offsets (b, 3) zyx in units of :data:`OFFSET_UNIT`, of a batch."""


def make_patch_engine(
    network: nn.Module | NetworkSource,
    settings: InferSettings,
    n_classes: int,
    patch: int,
    stride: int,
) -> PatchEngine:
    """The engine that the settings ask for; `auto` is OpenVINO on a CPU, torch on a GPU.

    The engines that only detectors have (onnx, tensorrt) leave the refiner to `auto`.

    Parameters
    ----------
    network
        For patches.
    settings
        `engine`, `precision` and `accelerator` are read.
    n_classes, patch, stride
        k, the edge of a patch in voxels, and the voxels per heatmap cell.

    Raises
    ------
    ConfigError
        If this machine can't do what the settings ask for.
    """
    source, gpu = as_source(network), on_gpu(settings.accelerator)
    asked = "auto" if settings.precision == "int8" else settings.precision  # detectors only
    precision = choose_precision(asked, gpu) if gpu else cpu_precision(asked)
    must = settings.engine == "openvino"
    if not gpu and settings.engine != "torch" and importlib.util.find_spec("openvino") is not None:
        from refiner.engine_openvino import OpenVinoPatchEngine

        try:
            return OpenVinoPatchEngine(source, precision, n_classes, patch, stride)
        except UnsupportedNetwork as error:
            if must:
                raise ConfigError(
                    f"infer.engine=openvino: the refiner: {error}; use infer.engine=torch"
                ) from error
            logger.warning("refiner: torch, since OpenVINO can't run it: %s", error)
    from refiner.engine_torch import TorchPatchEngine

    return TorchPatchEngine(source.module, choose_device(settings.accelerator), precision)

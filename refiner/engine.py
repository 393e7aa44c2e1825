"""Patch networks ready to run: arrays in, arrays out, whatever the backend."""

from __future__ import annotations

import importlib.util
import logging
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.errors import ConfigError
from cryo_pick.hardware import choose_device, choose_precision
from detector.engine import UnsupportedNetwork, cpu_precision
from detector.engine_torch import autocast
from detector.settings import InferSettings

logger = logging.getLogger(__name__)

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
        """Logits (b, k + 1) and offsets (b, 3) of a batch."""


class TorchPatchEngine:
    """Eager PyTorch, channels last; bf16 and fp16 by autocast.

    Parameters
    ----------
    module
        From patches, heatmaps and scores to logits and offsets; moved to the device.
    device
    precision
        fp32, bf16 or fp16; not checked against the hardware.
    """

    def __init__(self, module: nn.Module, device: torch.device, precision: str = "fp32") -> None:
        self._module, self._device = module.to(device), device
        self._precision = precision
        self.name = f"torch {precision} on {device.type}"

    def __call__(self, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (b, k + 1) and offsets (b, 3) of a batch."""
        with torch.inference_mode(), autocast(self._device, self._precision):
            tensors = [torch.from_numpy(np.ascontiguousarray(a)).to(self._device) for a in inputs]
            patch, heatmap = (
                t.contiguous(memory_format=torch.channels_last_3d) for t in tensors[:2]
            )
            logits, offsets = self._module(patch, heatmap, tensors[2])
            return logits.float().cpu().numpy(), offsets.float().cpu().numpy()


def make_patch_engine(
    module: nn.Module,
    settings: InferSettings,
    n_classes: int,
    patch: int,
    stride: int,
    *,
    keep: bool = False,
) -> PatchEngine:
    """The engine that the settings ask for; `auto` is OpenVINO on a CPU, torch on a GPU.

    The engines that only detectors have (onnx, tensorrt) leave the refiner to `auto`.

    Parameters
    ----------
    module
        A patch network.
    settings
        `engine`, `precision` and `accelerator` are read.
    n_classes, patch, stride
        k, the edge of a patch in voxels, and the voxels per heatmap cell.
    keep
        As for :func:`detector.engine.make_engine`.

    Raises
    ------
    ConfigError
        If this machine can't do what the settings ask for.
    """
    device = choose_device(settings.accelerator)
    asked = "auto" if settings.precision == "int8" else settings.precision  # detectors only
    if device.type != "cpu":
        return TorchPatchEngine(module, device, choose_precision(asked, device))
    precision = cpu_precision(asked)
    must = settings.engine == "openvino"
    if settings.engine != "torch" and importlib.util.find_spec("openvino") is not None:
        from refiner.engine_openvino import OpenVinoPatchEngine

        try:
            return OpenVinoPatchEngine(module, precision, n_classes, patch, stride, keep)
        except UnsupportedNetwork as error:
            if must:
                raise ConfigError(
                    f"infer.engine=openvino: the refiner: {error}; use infer.engine=torch"
                ) from error
            logger.warning("refiner: torch, since OpenVINO can't run it: %s", error)
    return TorchPatchEngine(module, device, precision)

"""PyTorch, on a GPU or a CPU."""

from __future__ import annotations

import contextlib
import copy
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.errors import OutOfMemory
from cryo_pick.hardware import Precision
from detector.network_geometry import effective_receptive_field, measure_geometry
from detector.tiles import Shape

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
GPU_BATCH = 8


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Arithmetic in `precision` on a device; fp32 is as it is."""
    dtype = _DTYPES.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)


class TorchEngine:
    """Eager PyTorch, channels last; bf16 and fp16 by autocast, which leaves norms in fp32.

    Parameters
    ----------
    module
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    precision
        Not checked against the hardware; :func:`detector.engine.make_engine` does that.
    device
        Where it runs.
    """

    def __init__(
        self, module: nn.Module, output_stride: int, precision: Precision, device: torch.device
    ) -> None:
        self.output_stride = output_stride
        self.geometry = measure_geometry(module, output_stride)
        self.batch = GPU_BATCH if device.type == "cuda" else 1
        self.keeps_buffers = device.type == "cuda"
        self._device = device
        self._precision = precision
        self._module = copy.deepcopy(module).eval().to(device)
        self._module.to(memory_format=torch.channels_last_3d)
        where = f"{torch.get_num_threads()} CPU threads"
        if device.type == "cuda":
            where = torch.cuda.get_device_name(device)
        self.name = f"torch {precision} channels_last_3d on {where}"

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return effective_receptive_field(self._module, self.geometry.multiple)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps.

        Raises
        ------
        OutOfMemory
            If the GPU's memory doesn't hold the batch.
        """
        tiles = torch.from_numpy(np.require(batch, np.float32, ["C", "W"])).to(self._device)
        try:
            with torch.inference_mode(), autocast(self._device, self._precision):
                output = self._module(tiles.to(memory_format=torch.channels_last_3d))
                return output.float().contiguous().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory(
                f"a batch of {len(batch)} tiles of {batch.shape[2:]} voxels doesn't fit on the "
                f"GPU; set infer.memory or infer.tile lower"
            ) from error

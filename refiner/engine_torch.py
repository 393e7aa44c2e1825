"""A patch network in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detector.engine_torch import autocast
from refiner.engine import Inputs


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

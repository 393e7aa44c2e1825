"""ONNX Runtime, on a CPU or, with onnxruntime-gpu, on a GPU."""

from __future__ import annotations

import copy
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from detector.engine import UnsupportedNetwork
from detector.kept_geometry import kept_geometry, kept_receptive_field
from detector.onnx_export import OUTPUT, export_onnx
from detector.parity import check_against_torch, check_shape
from detector.tiles import Shape

_GPU = "CUDAExecutionProvider"


class OnnxEngine:
    """The network as an ONNX model for tiles of any shape, in fp32.

    It is compared with torch once, as every backend is.

    Parameters
    ----------
    module
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    device
        A GPU is used where ONNX Runtime has been built for it.
    model
        The network as :func:`detector.onnx_export.export_onnx` wrote it; None: it is written now.

    Raises
    ------
    UnsupportedNetwork
        If the network can't be exported or run, or its output isn't torch's.
    """

    keeps_buffers = True

    def __init__(
        self,
        module: nn.Module,
        output_stride: int,
        device: torch.device,
        model: Path | None = None,
    ) -> None:
        self.output_stride = output_stride
        self.geometry = kept_geometry(module, output_stride)
        self._module = copy.deepcopy(module).float().cpu().eval()
        on_gpu = device.type == "cuda" and _GPU in onnxruntime.get_available_providers()
        self.batch = 8 if on_gpu else 1
        self.name = f"ONNX Runtime fp32 on {'GPU' if on_gpu else f'{_threads()} CPU threads'}"
        with tempfile.TemporaryDirectory() as folder:
            path = model or Path(folder) / "network.onnx"
            if model is None:
                export_onnx(self._module, path, None, self.geometry.multiple)
            self._session = _session(path.read_bytes(), on_gpu)
        edge, longer = check_shape(self.geometry.multiple)
        shape = (1, 1, edge, longer, edge)
        check_against_torch(self, self._module, shape, "fp32")

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._module, self.geometry.multiple)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps."""
        tiles = np.ascontiguousarray(batch, np.float32)
        answer = self._session.run([OUTPUT], {self._session.get_inputs()[0].name: tiles})[0]
        return np.asarray(answer, np.float32)


def _session(model: bytes, on_gpu: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    options.log_severity_level = 3
    providers = [_GPU] if on_gpu else []
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=[*providers, "CPUExecutionProvider"]
        )
    except Exception as error:  # its errors share no base class but Exception
        raise UnsupportedNetwork(f"ONNX Runtime can't load it ({error})") from error


def _threads() -> int:
    return torch.get_num_threads()

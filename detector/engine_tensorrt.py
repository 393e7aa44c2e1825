"""TensorRT, on an NVIDIA GPU. The network goes there as ONNX, for one shape of tile at a time."""

from __future__ import annotations

import copy
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.hardware import Precision
from detector.engine import UnsupportedNetwork
from detector.kept_geometry import kept_geometry, kept_receptive_field
from detector.onnx_export import INPUT, OUTPUT, export_onnx
from detector.parity import check_against_torch, check_shape
from detector.tiles import Shape

GPU_BATCH = 8
_FLAGS = {"fp16": "FP16", "bf16": "BF16"}


class TensorRtEngine:
    """The network as a TensorRT engine, built anew for each shape of tile as it comes.

    Parameters
    ----------
    module
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    precision
        fp32, fp16 or bf16: what layers may be computed in.
    model
        What :func:`build_plan` made, in a file, for tiles of one shape; None: built when needed.

    Raises
    ------
    UnsupportedNetwork
        If TensorRT can't build the network, or its output isn't torch's.
    """

    batch = GPU_BATCH
    keeps_buffers = True

    def __init__(
        self,
        module: nn.Module,
        output_stride: int,
        precision: Precision,
        model: Path | None = None,
    ) -> None:
        self.output_stride = output_stride
        self.geometry = kept_geometry(module, output_stride)
        self.name = f"TensorRT {precision} on {torch.cuda.get_device_name()}"
        self._module = copy.deepcopy(module).float().cpu().eval()
        self._precision = precision
        self._shape: tuple[int, ...] = ()
        self._context: Any = None
        if model is not None:
            self._context = load_plan(model.read_bytes())
            self._shape = tuple(self._context.engine.get_tensor_shape(INPUT))
            check_against_torch(self, self._module, self._shape, precision)
            return
        edge, longer = check_shape(self.geometry.multiple)
        shape = (1, 1, edge, longer, edge)
        check_against_torch(self, self._module, shape, precision)

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._module, self.geometry.multiple)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps."""
        if batch.shape != self._shape:
            self._context = None  # frees its buffers before new ones are taken
            plan = build_plan(self._module, batch.shape, self.geometry.multiple, self._precision)
            self._context = load_plan(plan)
            self._shape = batch.shape
        tiles = torch.from_numpy(np.require(batch, np.float32, ["C", "W"])).cuda()
        cells = tuple(n // self.output_stride for n in batch.shape[2:])
        answers = torch.empty((len(batch), self.geometry.n_classes, *cells), device="cuda")
        self._context.set_tensor_address(INPUT, tiles.data_ptr())
        self._context.set_tensor_address(OUTPUT, answers.data_ptr())
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError("TensorRT did not run")
        stream.synchronize()
        return answers.cpu().numpy()


def build_plan(
    module: nn.Module, shape: tuple[int, ...], multiple: int, precision: Precision
) -> bytes:
    """A network compiled by TensorRT for the GPU at hand and one shape of tiles.

    Parameters
    ----------
    module
        In fp32 on the CPU, for evaluation.
    shape
        (b, 1, d, h, w).
    multiple
        Of a tile's edges, voxels.
    precision
        What layers may be computed in; inputs and outputs are fp32.

    Raises
    ------
    UnsupportedNetwork
        If TensorRT can't read or build it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(module, path, shape, multiple)
        model = path.read_bytes()
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise UnsupportedNetwork(f"TensorRT can't read it ({'; '.join(errors)[:300]})")
    config = builder.create_builder_config()
    if precision in _FLAGS:
        config.set_flag(getattr(tensorrt.BuilderFlag, _FLAGS[precision]))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnsupportedNetwork("TensorRT can't build it")
    return bytes(plan)


def load_plan(plan: bytes) -> Any:
    """An execution context for what :func:`build_plan` made."""
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
    return runtime.deserialize_cuda_engine(plan).create_execution_context()

"""OpenVINO, on a CPU."""

from __future__ import annotations

import copy
import functools
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryo_pick.hardware import Precision
from detector.engine import UnsupportedNetwork
from detector.network_geometry import kept_geometry, kept_receptive_field
from detector.parity import TOLERANCE, check_against_torch, check_shape
from detector.tiles import Shape

# Importing OpenVINO tells its makers, over the network, unless the package that does so is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402

_TYPES = {"fp32": "f32", "bf16": "bf16"}


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
    """How a model is compiled: for one request at a time on torch's number of threads."""
    return {
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }


class OpenVinoEngine:
    """The network as an OpenVINO model, compiled for each shape of tile as it comes.

    The converted model is run once on noise and compared with torch, on a shape other than the one
    it was traced with, so that a layer that OpenVINO sees differently is found here and not in the
    picks.

    Parameters
    ----------
    module
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    precision
        fp32 or bf16. Not checked against the hardware; :func:`detector.engine.make_engine` does.
    model
        The network as :func:`write_openvino` wrote it; None: it is converted now.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert or compile the network, or its output isn't torch's.
    """

    batch = 1
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
        self._module = copy.deepcopy(module).float().cpu().eval()
        self.name = f"OpenVINO {precision} on {torch.get_num_threads()} CPU threads"
        self._core = openvino_core()
        self._config = cpu_config(precision)
        self._shape: tuple[int, ...] = ()
        self._request: Any = None
        edge, longer = check_shape(self.geometry.multiple)
        self._model = self._core.read_model(model) if model else _convert(self._module, edge)
        shape = (1, 1, edge, longer, edge)
        check_against_torch(self, self._module, shape, TOLERANCE[precision])

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._module, self.geometry.multiple)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps."""
        if batch.shape != self._shape:
            self._request = None  # frees its buffers before new ones are taken
            self._model.reshape({0: openvino.PartialShape(list(batch.shape))})
            compiled = self._core.compile_model(self._model, "CPU", self._config)
            self._request = compiled.create_infer_request()
            self._shape = batch.shape
        tiles = np.ascontiguousarray(batch, np.float32)
        result = self._request.infer([tiles], share_inputs=True, share_outputs=True)[0]
        return np.array(result, np.float32)  # the request's own buffer is overwritten next time


def write_openvino(module: nn.Module, path: Path, multiple: int) -> None:
    """Write a network as PATH.xml and PATH.bin.

    Parameters
    ----------
    module
        In fp32 on the CPU, for evaluation.
    path
        Of the .xml.
    multiple
        Of a tile's edges, voxels.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert it.
    """
    model = _convert(module, check_shape(multiple)[0])
    openvino.save_model(model, path, compress_to_fp16=False)


def _convert(module: nn.Module, edge: int) -> Any:
    """The network as an OpenVINO model, traced on a cube of `edge` voxels."""
    return converted(module, (torch.zeros(1, 1, edge, edge, edge),))


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

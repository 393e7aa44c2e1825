"""OpenVINO, on a CPU."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.hardware import Precision
from detector import int8, subpixel
from detector.int8 import Ranges, rounded
from detector.mean_network import MeanNetwork, SeparateNetworks
from detector.network_geometry import kept_geometry, kept_receptive_field
from detector.openvino_models import (
    converted,
    convolution_seconds,
    cpu_config,
    keep_model,
    kept_model,
    model_key,
    openvino,
    openvino_core,
)
from detector.parity import check_against_torch, check_shape
from detector.subpixel import without_transposed
from detector.tiles import Shape


class OpenVinoEngine:
    """The network as an OpenVINO model, compiled for each shape of tile as it comes.

    The converted model is run once on noise and compared with torch, on a shape other than the one
    it was traced with, so that a layer that OpenVINO sees differently is found here and not in the
    picks. A model that was kept has passed this on the same kind of processor.

    Parameters
    ----------
    module
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    precision
        fp32, bf16 or int8. Not checked against the hardware; :func:`detector.engine.make_engine`
        does.
    ranges
        For int8: of what goes into the network's layers.
    model
        The network as :func:`write_openvino` wrote it; None: it is converted now.
    keep
        Take the model from the cache folder where it was kept before, and keep it there else.

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
        *,
        ranges: Ranges | None = None,
        model: Path | None = None,
        keep: bool = False,
    ) -> None:
        self.output_stride = output_stride
        measured = kept_geometry(module, output_stride)
        # Activations are bf16 then: 0.38 times as much was seen, 0.6 to 0.8 times in fp32.
        share = 1.0 if precision == "fp32" else 0.5
        self.geometry = replace(measured, bytes_per_voxel=share * measured.bytes_per_voxel)
        self._module = copy.deepcopy(module).float().cpu().eval()
        self.name = f"OpenVINO {precision} on {torch.get_num_threads()} CPU threads"
        self._precision = precision
        self._core = openvino_core()
        self._config = cpu_config(precision)
        self._shape: tuple[int, ...] = ()
        self._request: Any = None
        edge, longer = check_shape(self.geometry.multiple)
        how = f"stride {output_stride} ranges {sorted((ranges or {}).items())}"
        key = model_key(self._module, precision, how, (int8, subpixel)) if keep else ""
        kept = kept_model(key) if key else None
        if kept is not None:
            self._model = kept
            return
        network = _converted_as(self._module, precision, ranges or {})
        self._model = self._core.read_model(model) if model else convert_network(network, edge)
        shape = (1, 1, edge, longer, edge)
        check_against_torch(self, network, shape, precision)
        if key:
            keep_model(key, self._model)

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._module, self.geometry.multiple)

    def convolution_seconds(self, shape: tuple[int, ...], repeats: int) -> float:
        """Seconds of the network's convolutions on one batch of a shape, with nothing between."""
        return convolution_seconds(self._model, shape, self._precision, repeats)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps."""
        if batch.shape != self._shape:
            self._request = None  # frees its buffers before new ones are taken
            self._model.reshape({0: openvino.PartialShape(list(batch.shape))})
            compiled = self._core.compile_model(self._model, "CPU", self._config)
            self._request = compiled.create_infer_request()
            self._shape = batch.shape
        tiles = np.ascontiguousarray(batch, np.float32)
        answers = self._request.infer([tiles], share_inputs=True, share_outputs=True)
        total = np.array(answers[0], np.float32)  # the request's buffer is overwritten next time
        for index in range(1, len(answers)):
            total += answers[index]
        if len(answers) > 1:
            total /= np.float32(len(answers))
        return total


def write_openvino(
    module: nn.Module,
    path: Path,
    multiple: int,
    precision: Precision = "fp32",
    ranges: Ranges | None = None,
) -> None:
    """Write a network as PATH.xml and PATH.bin.

    Parameters
    ----------
    module
        In fp32 on the CPU, for evaluation.
    path
        Of the .xml.
    multiple
        Of a tile's edges, voxels.
    precision
        That it will be run in; what is written for fp32 or bf16 can run in both.
    ranges
        For int8: of what goes into the network's layers.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert it.
    """
    network = _converted_as(module, precision, ranges or {})
    model = convert_network(network, check_shape(multiple)[0])
    openvino.save_model(model, path, compress_to_fp16=False)


def _converted_as(module: nn.Module, precision: Precision, ranges: Ranges) -> nn.Module:
    """What is converted: the network in a form that OpenVINO computes fastest."""
    if precision == "fp32":
        return module
    plain = without_transposed(module)
    return rounded(plain, ranges).eval() if precision == "int8" else plain


def convert_network(module: nn.Module, edge: int) -> Any:
    """The network as an OpenVINO model, traced on a cube of `edge` voxels.

    A mean becomes one output per member, since OpenVINO would add them in bf16.
    """
    if isinstance(module, MeanNetwork):
        module = SeparateNetworks(list(module.members)).eval()
    return converted(module, (torch.zeros(1, 1, edge, edge, edge),))

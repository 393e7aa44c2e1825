"""OpenVINO, on a CPU."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.hardware import Precision, compute_threads
from cryo_pick.network_source import NetworkSource, as_source
from detector.kept_geometry import kept_geometry, kept_receptive_field
from detector.openvino_models import (
    convolution_seconds,
    cpu_config,
    keep_model,
    kept_model,
    model_key,
    openvino,
    openvino_core,
)
from detector.tiles import Shape

if TYPE_CHECKING:
    from torch import nn

    from detector.int8 import Ranges


class OpenVinoEngine:
    """The network as an OpenVINO model, compiled for each shape of tile as it comes.

    The converted model is run once on noise and compared with torch, on a shape other than the one
    it was traced with, so that a layer that OpenVINO sees differently is found here and not in the
    picks. Of a network with a key the model is kept in the cache folder: next time it needs neither
    the network nor torch, since it has passed this on the same kind of processor.

    Parameters
    ----------
    network
        Copied, so not changed.
    output_stride
        Voxels per heatmap cell.
    precision
        fp32, bf16 or int8. Not checked against the hardware; :func:`detector.engine.make_engine`
        does.
    ranges
        For int8: of what goes into the network's layers.
    model
        The network as :func:`detector.openvino_convert.write_openvino` wrote it; None: it is
        converted now, or was kept.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert or compile the network, or its output isn't torch's.
    """

    batch = 1
    keeps_buffers = True

    def __init__(
        self,
        network: nn.Module | NetworkSource,
        output_stride: int,
        precision: Precision,
        *,
        ranges: Ranges | None = None,
        model: Path | None = None,
    ) -> None:
        self.output_stride = output_stride
        self._source = as_source(network)
        measured = kept_geometry(self._source, output_stride)
        # Activations are bf16 then: 0.38 times as much was seen, 0.6 to 0.8 times in fp32.
        share = 1.0 if precision == "fp32" else 0.5
        self.geometry = replace(measured, bytes_per_voxel=share * measured.bytes_per_voxel)
        self.name = f"OpenVINO {precision} on {compute_threads()} CPU threads"
        self._precision = precision
        self._core = openvino_core()
        self._config = cpu_config(precision)
        self._shape: tuple[int, ...] = ()
        self._request: Any = None
        how = f"{precision} stride {output_stride} ranges {sorted((ranges or {}).items())}"
        key = model_key(self._source.key, how) if self._source.key and not model else ""
        self._model: Any = kept_model(key) if key else None
        if self._model is None:
            self._convert(ranges or {}, model)
            if key:
                self._model, self._shape = keep_model(key, self._model), ()

    def _convert(self, ranges: Ranges, file: Path | None) -> None:
        """Make the model, or read it from a file, and compare it with torch."""
        from detector.openvino_convert import convert_network, in_form_for
        from detector.parity import check_against_torch, check_shape

        module = copy.deepcopy(self._source.module).float().cpu().eval()
        network = in_form_for(module, self._precision, ranges)
        edge, longer = check_shape(self.geometry.multiple)
        self._model = self._core.read_model(file) if file else convert_network(network, edge)
        check_against_torch(self, network, (1, 1, edge, longer, edge), self._precision)

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._source, self.geometry.multiple)

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
        # The request's buffers are overwritten next time.
        if len(answers) == 1:
            return np.array(answers[0], np.float32)
        total = np.add(answers[0], answers[1], dtype=np.float32)
        for index in range(2, len(answers)):
            total += answers[index]
        total /= np.float32(len(answers))
        return total

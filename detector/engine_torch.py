"""PyTorch, on a GPU or a CPU."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryo_pick.errors import OutOfMemory
from cryo_pick.hardware import Precision
from detector.kept_geometry import kept_geometry, kept_receptive_field
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
    compiled
        Compiled by torch, once for each shape of tile.
    graphs
        Recorded as a CUDA graph for the shape of tile at hand and played back, so that launching
        its kernels costs nothing. Only on a GPU.
    """

    def __init__(
        self,
        module: nn.Module,
        output_stride: int,
        precision: Precision,
        device: torch.device,
        *,
        compiled: bool = False,
        graphs: bool = False,
    ) -> None:
        self.output_stride = output_stride
        self.geometry = kept_geometry(module, output_stride)
        self.batch = GPU_BATCH if device.type == "cuda" else 1
        self.keeps_buffers = device.type == "cuda"
        self._device = device
        self._precision = precision
        self._module = copy.deepcopy(module).eval().to(device)
        self._module.to(memory_format=torch.channels_last_3d)
        self._run = torch.compile(self._module, dynamic=False) if compiled else self._module
        self._graphs, self._recorded = graphs, _Recorded()
        where = f"{torch.get_num_threads()} CPU threads"
        if device.type == "cuda":
            where = torch.cuda.get_device_name(device)
        how = "".join((", compiled" if compiled else "", ", CUDA graph" if graphs else ""))
        self.name = f"torch {precision} channels_last_3d{how} on {where}"

    @functools.cached_property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""
        return kept_receptive_field(self._module, self.geometry.multiple)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps.

        Raises
        ------
        OutOfMemory
            If the GPU's memory doesn't hold the batch.
        """
        tiles = torch.from_numpy(np.require(batch, np.float32, ["C", "W"])).to(self._device)
        tiles = tiles.to(memory_format=torch.channels_last_3d)
        try:
            with torch.inference_mode(), autocast(self._device, self._precision):
                play = self._recorded.play
                output = play(self._run, tiles) if self._graphs else self._run(tiles)
                return output.float().contiguous().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory(
                f"a batch of {len(batch)} tiles of {batch.shape[2:]} voxels doesn't fit on the "
                f"GPU; set infer.memory or infer.tile lower"
            ) from error


class _Recorded:
    """A network's kernels for one shape of input, recorded as a CUDA graph."""

    def __init__(self) -> None:
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input = self._output = torch.empty(0)

    def play(
        self, run: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor
    ) -> torch.Tensor:
        """The network's answer, in a tensor that the next call overwrites."""
        if self._graph is None or self._input.shape != tiles.shape:
            self._graph = None  # frees its memory before more is taken
            self._input = tiles.clone(memory_format=torch.preserve_format)
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                run(self._input)  # whatever is set up on a first run must not be recorded
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._output = run(self._input)
            self._graph = graph
        self._input.copy_(tiles)
        self._graph.replay()
        return self._output

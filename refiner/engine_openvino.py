"""A patch network in OpenVINO, on a CPU."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.hardware import compute_threads
from cryo_pick.network_source import NetworkSource
from detector.engine import UnsupportedNetwork
from detector.openvino_models import (
    cpu_config,
    keep_model,
    kept_model,
    model_key,
    openvino,
    openvino_core,
)
from refiner.engine import Inputs

_CHECKED_BATCH = 3
AT_ONCE = 16
"""Patches of one call: the fastest of several numbers in benchmarks/patches.py."""


class OpenVinoPatchEngine:
    """The network as an OpenVINO model for batches of any length.

    It is run once on noise and compared with torch, and kept where it has a key, as a detector is
    (:class:`detector.engine_openvino.OpenVinoEngine`).

    Parameters
    ----------
    network
        Copied, so not changed.
    precision
        fp32 or bf16.
    n_classes, patch, stride
        k, the edge of a patch in voxels, and the voxels per heatmap cell.

    Raises
    ------
    UnsupportedNetwork
        If OpenVINO can't convert or compile the network, or its output isn't torch's.
    """

    def __init__(
        self, network: NetworkSource, precision: str, n_classes: int, patch: int, stride: int
    ) -> None:
        self.at_once = AT_ONCE
        self.name = f"OpenVINO {precision} on {compute_threads()} CPU threads"
        cells = patch // stride
        shapes = [(1, patch, patch, patch), (n_classes, cells, cells, cells), (n_classes,)]
        key = model_key(network.key, f"{precision} {shapes}") if network.key else ""
        kept = kept_model(key) if key else None
        try:
            if kept is not None:
                self._compile(kept, precision)
                return
            model = self._convert(network, precision, shapes)
            if key:
                self._compile(keep_model(key, model), precision)
        except RuntimeError as error:
            raise UnsupportedNetwork(f"it does not compile ({error})") from error

    def _convert(
        self, network: NetworkSource, precision: str, shapes: list[tuple[int, ...]]
    ) -> Any:
        """Make the model and compare it with torch."""
        import torch

        from detector.openvino_convert import converted
        from detector.parity import check_answers

        module = copy.deepcopy(network.module).float().cpu().eval()
        rng = np.random.default_rng(0)
        noise = [rng.random((_CHECKED_BATCH, *shape), np.float32) for shape in shapes]
        model = converted(module, tuple(torch.from_numpy(a) for a in noise))
        model.reshape({i: openvino.PartialShape([-1, *s]) for i, s in enumerate(shapes)})
        self._compile(model, precision)
        answers = self((noise[0], noise[1], noise[2]))
        check_answers(answers, module, noise, precision)
        return model

    def _compile(self, model: Any, precision: str) -> None:
        self._compiled = openvino_core().compile_model(model, "CPU", cpu_config(precision))
        self._request = self._compiled.create_infer_request()

    def __call__(self, inputs: Inputs) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits (b, k + 1) and offsets (b, 3) of a batch."""
        logits, offsets = [], []
        for first in range(0, len(inputs[0]), self.at_once):
            part = slice(first, first + self.at_once)
            arrays = [np.ascontiguousarray(a[part], np.float32) for a in inputs]
            answers = self._request.infer(arrays, share_inputs=True, share_outputs=True)
            logits.append(np.array(answers[0], np.float32))
            offsets.append(np.array(answers[1], np.float32))
        return np.concatenate(logits), np.concatenate(offsets)

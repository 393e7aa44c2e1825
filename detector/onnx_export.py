"""A network as an ONNX model, for ONNX Runtime, TensorRT and other programs."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import torch
from torch import nn

from cryo_pick.errors import ConfigError
from detector.engine import UnsupportedNetwork

INPUT, OUTPUT = "tiles", "heatmaps"
"""Names of the model's input and output."""
OPSET = 17


def require_packages(names: tuple[str, ...], what: str, extra: str) -> None:
    """Refuse what needs packages that aren't installed.

    Raises
    ------
    ConfigError
        That says how to get them.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{what}: {', '.join(missing)} not installed; pip install 'cryo-pick[{extra}]'"
        )


def export_onnx(
    module: nn.Module, path: Path, shape: tuple[int, ...] | None, multiple: int
) -> None:
    """Write a network as ONNX.

    Parameters
    ----------
    module
        In fp32 on the CPU, for evaluation.
    path
        File to write.
    shape
        (b, 1, d, h, w) of the only tiles it takes; None: any batch, and any edges that are
        multiples of `multiple`.
    multiple
        Of a tile's edges, voxels.

    Raises
    ------
    ConfigError
        If the packages for it aren't installed.
    UnsupportedNetwork
        If a layer can't be exported.
    """
    require_packages(("onnx",), "ONNX export", "onnx")
    axes = None
    if shape is None:
        edge = 2 * multiple
        shape = (1, 1, edge, edge, edge)
        free = {0: "batch", 2: "z", 3: "y", 4: "x"}
        axes = {INPUT: free, OUTPUT: free}
    try:
        with warnings.catch_warnings():
            # The exporter by tracing is deprecated, but the one that replaces it takes minutes
            # where this takes seconds; what could go wrong is found by comparing with torch.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, (torch.zeros(shape),), str(path), input_names=[INPUT],
                output_names=[OUTPUT], opset_version=OPSET, dynamic_axes=axes, dynamo=False,
            )  # fmt: skip
    except Exception as error:  # the exporter raises whatever the network's code raises
        raise UnsupportedNetwork(f"it can't be written as ONNX ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__

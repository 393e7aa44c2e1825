"""Networks of torch to OpenVINO models, compared with torch."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryo_pick.hardware import Precision
from detector.engine import UnsupportedNetwork
from detector.int8 import Ranges, rounded
from detector.mean_network import MeanNetwork, SeparateNetworks
from detector.openvino_models import openvino
from detector.parity import check_shape
from detector.subpixel import without_transposed


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
    network = in_form_for(module, precision, ranges or {})
    model = convert_network(network, check_shape(multiple)[0])
    openvino.save_model(model, path, compress_to_fp16=False)


def in_form_for(module: nn.Module, precision: Precision, ranges: Ranges) -> nn.Module:
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

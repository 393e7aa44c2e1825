"""Engines: one call for every backend that can run a detector's network.

`engine=auto` takes, in this order, what benchmarks/engines.py found fastest on each kind of
machine: torch on a GPU; OpenVINO on a CPU; torch on a CPU where OpenVINO isn't installed or can't
run the network. OpenVINO computes in int8 where the CPU multiplies that in one instruction and the
network's ranges are known, else in bf16 where the CPU has it. ONNX Runtime and TensorRT have to be
asked for: neither has been timed yet.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import ConfigError
from cryo_pick.hardware import (
    Precision,
    choose_device,
    choose_precision,
    cpu_has_bf16,
    cpu_has_int8,
    on_gpu,
)
from cryo_pick.network_source import NetworkSource, as_source
from detector.settings import InferSettings
from detector.tiles import Shape

if TYPE_CHECKING:
    from torch import nn

    from detector.int8 import Ranges

logger = logging.getLogger(__name__)

ENGINES = ("auto", "torch", "openvino", "onnx", "tensorrt")


class UnsupportedNetwork(Exception):
    """A backend can't run a network, or doesn't compute what torch computes."""


@dataclass(frozen=True)
class NetworkGeometry:
    """What a network needs and makes, measured on the network itself.

    Attributes
    ----------
    n_classes
        Output channels k.
    multiple
        The edges of a tile are multiples of this many voxels.
    bytes_per_voxel
        Activations alive at the fullest moment in fp32, per voxel of the tile. Eager torch took
        1.0 to 1.1 times that on tiles of 20 million voxels, OpenVINO 0.6 to 0.8 times. An engine
        that computes in bf16 may say less.
    depth_multiple
        Along z a multiple of this is enough; None: no less than of `multiple`.
    """

    n_classes: int
    multiple: int
    bytes_per_voxel: float
    depth_multiple: int | None = None

    @property
    def multiples(self) -> Shape:
        """What the edges of a tile are multiples of, along z, y, x, voxels."""
        return self.depth_multiple or self.multiple, self.multiple, self.multiple


class Engine(Protocol):
    """A network ready to run.

    Attributes
    ----------
    name
        Backend, precision and device, for people.
    output_stride
        Voxels per heatmap cell.
    geometry
        Of its network.
    batch
        Tiles that are best run at once.
    keeps_buffers
        Whether the memory of a tile stays taken between two calls.
    """

    name: str
    output_stride: int
    geometry: NetworkGeometry
    batch: int
    keeps_buffers: bool

    @property
    def receptive_field(self) -> Shape:
        """Effective receptive field of the network, voxels, zyx."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, 1, d, h, w) float32 tiles to (b, k, d/s, h/s, w/s) raw float32 heatmaps.

        The tiles are left as they are. The heatmaps share no memory with them or with other
        answers: the caller may change them.
        """


def make_engine(
    network: nn.Module | NetworkSource,
    settings: InferSettings,
    output_stride: int,
    *,
    ranges: Ranges | None = None,
) -> Engine:
    """The engine that the settings ask for, or the fastest this machine has.

    What is taken, and why, goes to the log.

    Parameters
    ----------
    network
        (b, 1, d, h, w) to (b, k, d/s, h/s, w/s). Copied, so not changed. Of one with a key, what it
        takes to convert it is kept in the cache folder.
    settings
        `engine`, `precision`, `accelerator`, `compile` and `cuda_graphs` are read.
    output_stride
        s, voxels per heatmap cell.
    ranges
        What int8 needs: of what goes into the network's layers; None or empty: unknown.

    Raises
    ------
    ConfigError
        If this machine can't do what the settings ask for.
    """
    if settings.engine not in ENGINES:
        raise ConfigError(
            f"infer.engine: expected {', '.join(ENGINES)}, but got {settings.engine!r}"
        )
    source, gpu = as_source(network), on_gpu(settings.accelerator)
    if settings.engine == "openvino" and settings.accelerator == "cuda":
        raise ConfigError("infer.engine=openvino runs on the CPU; use infer.engine=torch or auto")
    if settings.engine in ("onnx", "tensorrt"):
        return _exported_engine(source.module, settings, output_stride, gpu)
    if settings.engine == "openvino" or (settings.engine == "auto" and not gpu):
        engine = _openvino_engine(source, settings, output_stride, ranges or {})
        if engine is not None:
            return engine
    return _torch_engine(source.module, settings, output_stride, gpu)


def _openvino_engine(
    source: NetworkSource, settings: InferSettings, output_stride: int, ranges: Ranges
) -> Engine | None:
    """OpenVINO; None where `auto` should go on to torch."""
    asked = f"infer.engine={settings.engine}"
    if settings.precision == "int8":
        asked = "infer.precision=int8"
    must = asked != "infer.engine=auto"
    precision = openvino_precision(settings.precision, bool(ranges))
    if importlib.util.find_spec("openvino") is None:
        if must:
            raise ConfigError(
                f"{asked}: OpenVINO is not installed; pip install 'cryo-pick[openvino]', or use "
                "infer.engine=auto"
            )
        logger.info("engine: torch, since OpenVINO is not installed (cryo-pick[openvino])")
        return None
    from detector.engine_openvino import OpenVinoEngine

    try:
        engine = OpenVinoEngine(source, output_stride, precision, ranges=ranges)
    except UnsupportedNetwork as error:
        if precision == "int8" and settings.precision == "auto":
            logger.warning("engine: not in int8, since %s", error)
            return _openvino_engine(source, settings, output_stride, {})
        if must:
            instead = "infer.engine=torch infer.precision=auto"
            raise ConfigError(f"{asked}: {error}; use {instead}") from error
        logger.warning("engine: torch, since OpenVINO can't run this network: %s", error)
        return None
    why = "as asked" if must else "the fastest on a CPU"
    logger.info("engine: %s (%s; %s)", engine.name, why, _why_precision(settings, precision))
    return engine


def _exported_engine(
    module: nn.Module, settings: InferSettings, output_stride: int, gpu: bool
) -> Engine:
    """ONNX Runtime or TensorRT, which only run where they are asked for."""
    from detector.onnx_export import require_packages

    what = f"infer.engine={settings.engine}"
    engine: Engine
    try:
        if settings.engine == "onnx":
            require_packages(("onnx", "onnxruntime"), what, "onnx")
            if settings.precision not in ("auto", "fp32"):
                raise ConfigError(f"{what} runs in fp32; use infer.precision=auto or fp32")
            from detector.engine_onnx import OnnxEngine

            engine = OnnxEngine(module, output_stride, choose_device(settings.accelerator))
        else:
            require_packages(("tensorrt", "onnx"), what, "tensorrt")
            if not gpu:
                raise ConfigError(f"{what} needs an NVIDIA GPU; use infer.engine=auto")
            from detector.engine_tensorrt import TensorRtEngine

            precision = choose_precision(settings.precision, gpu)
            engine = TensorRtEngine(module, output_stride, precision)
    except UnsupportedNetwork as error:
        raise ConfigError(f"{what}: {error}; use infer.engine=auto") from error
    logger.info("engine: %s (as asked)", engine.name)
    return engine


def _torch_engine(
    module: nn.Module, settings: InferSettings, output_stride: int, gpu: bool
) -> Engine:
    from detector.engine_torch import TorchEngine

    if gpu:
        precision = choose_precision(settings.precision, gpu)
    else:
        precision = cpu_precision(settings.precision)
    if settings.cuda_graphs and not gpu:
        raise ConfigError("infer.cuda_graphs=true needs an NVIDIA GPU; leave it out on a CPU")
    engine = TorchEngine(
        module, output_stride, precision, choose_device(settings.accelerator),
        compiled=settings.compile, graphs=settings.cuda_graphs,
    )  # fmt: skip
    why = "as asked" if settings.engine == "torch" else "the best there is for this machine"
    logger.info("engine: %s (%s; %s)", engine.name, why, _why_precision(settings, precision))
    return engine


def cpu_precision(precision: str) -> Precision:
    """The number format that `precision` stands for on this CPU, int8 aside.

    Raises
    ------
    ConfigError
        If the word is unknown or this CPU would have to emulate the format.
    """
    chosen = choose_precision(precision, gpu=False)
    if chosen == "bf16" and not cpu_has_bf16():
        raise ConfigError(
            "infer.precision=bf16: this CPU has no bf16 arithmetic and emulates it a hundred "
            "times slower than fp32; use infer.precision=auto or fp32"
        )
    return chosen


def openvino_precision(precision: str, has_ranges: bool) -> Precision:
    """The number format that `precision` stands for in OpenVINO on this CPU.

    Parameters
    ----------
    precision
    has_ranges
        Whether it is known what goes into the network's layers.

    Raises
    ------
    ConfigError
        As :func:`cpu_precision`, or if int8 is asked for and can't be had.
    """
    if precision not in ("auto", "int8"):
        return cpu_precision(precision)
    if has_ranges and cpu_has_int8():
        return "int8"
    if precision == "auto":
        return cpu_precision(precision)
    if has_ranges:
        raise ConfigError(
            "infer.precision=int8: this CPU has no instruction for sums of 8-bit products (VNNI or "
            "AMX): it would gain little, and sums could overflow; use infer.precision=auto"
        )
    raise ConfigError(
        "infer.precision=int8: the ranges of this detector's layers are unknown (int8_ranges in "
        "its .yaml, which `cryo-pick train` measures); use infer.precision=auto, or train it again"
    )


def precision_in_force(settings: InferSettings, has_ranges: bool = False) -> Precision:
    """The number format that detectors compute in on this machine with these settings.

    Parameters
    ----------
    settings
    has_ranges
        As for :func:`openvino_precision`.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none, or the precision can't be had.
    """
    if settings.engine == "onnx":
        return "fp32"
    if on_gpu(settings.accelerator):
        return choose_precision(settings.precision, gpu=True)
    if settings.engine != "torch" and importlib.util.find_spec("openvino") is not None:
        return openvino_precision(settings.precision, has_ranges)
    return cpu_precision(settings.precision)


def _why_precision(settings: InferSettings, precision: Precision) -> str:
    if settings.precision != "auto":
        return f"{precision} as asked"
    if precision == "int8":
        return "int8 because the CPU has VNNI or AMX and the network's ranges are known"
    if precision == "fp32":
        return "fp32 because this CPU has no bf16 arithmetic"
    return f"{precision} because the hardware has it"

"""`cryo-pick export-model`: a bundle's detectors for other runtimes, and how far they agree."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryo_pick.config import Config
from cryo_pick.errors import ConfigError
from cryo_pick.files import atomic_path, write_bytes_atomic, write_text_atomic
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.hardware import Precision, choose_device, choose_precision
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.picks import Picks
from cryo_pick.pipeline.picker import Picker, load_picker
from cryo_pick.pipeline.predict import pick_tomogram, picks_of
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network
from detector.engine import Engine, UnsupportedNetwork, cpu_precision, openvino_precision
from detector.kept_geometry import kept_geometry
from detector.onnx_export import export_onnx, require_packages
from detector.parts import output_stride
from detector.settings import CandidatesSettings, InferSettings
from detector.tiles import middle_box
from metrics.evaluate import evaluate

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

FORMATS = ("onnx", "openvino", "tensorrt")
SAME_PLACE = 0.5
"""Voxels; two picks of a class that are no further apart are the same pick."""
_TILE = (64, 96, 96)


@dataclass(frozen=True)
class Parity:
    """How far the exported networks agree with torch in fp32 on one run.

    Attributes
    ----------
    largest_difference
        Of the heatmaps of one tile in the middle.
    picks, picks_torch
        Numbers of picks above the bundle's thresholds.
    overlap
        Picks that both have, as a share of those that any of them has.
    f4, f4_torch
        Weighted, over the classes of the run; None where there is no truth.
    """

    largest_difference: float
    picks: int
    picks_torch: int
    overlap: float
    f4: float | None
    f4_torch: float | None


def export_bundle(folder: Path, kind: str, out: Path, infer: InferSettings) -> list[Path]:
    """Write every detector of a bundle into `out`, in one of :data:`FORMATS`.

    Parameters
    ----------
    folder
        Of the bundle.
    kind
    out
        Folder.
    infer
        `tile`, `precision` and `accelerator` matter for TensorRT, which builds for one shape of
        tile; no tile is 64x96x96 voxels. With `precision` int8, OpenVINO's files hold roundings.

    Raises
    ------
    ConfigError
        If the packages or the GPU it takes are not there, or a network can't be written.
    """
    from cryo_pick.pipeline.bundle import read_bundle

    paths = []
    for member in read_bundle(folder).detectors:
        module, spec = load_network(folder / member, "detector.networks")
        multiple = kept_geometry(module, output_stride(spec.network)).multiple
        path = out / f"{member.replace('/', '-')}.{_SUFFIX[kind]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if kind == "onnx":
                with atomic_path(path) as part:
                    export_onnx(module, part, None, multiple)
            elif kind == "openvino":
                require_packages(("openvino",), "--format openvino", "openvino")
                from detector.openvino_convert import write_openvino

                precision = _exported_precision(infer, spec)
                write_openvino(module, path, multiple, precision, spec.int8_ranges)
            else:
                _write_plan(module, path, infer, multiple)
        except UnsupportedNetwork as error:
            raise ConfigError(f"--format {kind}: {member}: {error}") from error
        paths.append(path)
    return paths


def _exported_precision(infer: InferSettings, spec: NetworkSpec) -> Precision:
    """Of OpenVINO's files: as asked; those with the roundings of int8 only where it is asked for.

    Others run in fp32 and bf16 alike, on any CPU.
    """
    if infer.precision == "int8":
        return openvino_precision("int8", bool(spec.int8_ranges))
    return cpu_precision(infer.precision)


_SUFFIX = {"onnx": "onnx", "openvino": "xml", "tensorrt": "plan"}


def _write_plan(module: nn.Module, path: Path, infer: InferSettings, multiple: int) -> None:
    require_packages(("tensorrt", "onnx"), "--format tensorrt", "tensorrt")
    device = choose_device(infer.accelerator)
    if device.type != "cuda":
        raise ConfigError("--format tensorrt needs the NVIDIA GPU that it is to run on")
    from detector.engine_tensorrt import GPU_BATCH, build_plan

    tile = [math.ceil(n / multiple) * multiple for n in infer.tile or _TILE]
    batch = min(GPU_BATCH, infer.views or 1)
    precision = choose_precision(infer.precision, gpu=True)
    write_bytes_atomic(path, build_plan(module, (batch, 1, *tile), multiple, precision))


def exported_picker(reference: Picker, folder: Path, kind: str, files: Sequence[Path]) -> Picker:
    """The same picker with detectors that run from exported files."""
    infer = reference.infer
    device = choose_device(infer.accelerator)
    engines: list[Engine] = []
    for member, path in zip(reference.bundle.detectors, files, strict=True):
        module, spec = load_network(folder / member, "detector.networks")
        stride = output_stride(spec.network)
        if kind == "onnx":
            require_packages(("onnxruntime",), "--check", "onnx")
            from detector.engine_onnx import OnnxEngine

            engines.append(OnnxEngine(module, stride, device, path))
        elif kind == "openvino":
            from detector.engine_openvino import OpenVinoEngine

            precision = _exported_precision(infer, spec)
            ranges = spec.int8_ranges
            engines.append(OpenVinoEngine(module, stride, precision, ranges=ranges, model=path))
        else:
            from detector.engine_tensorrt import TensorRtEngine

            precision = choose_precision(infer.precision, gpu=True)
            engines.append(TensorRtEngine(module, stride, precision, path))
    return replace(reference, engines=tuple(engines))


def check_parity(
    folder: Path, kind: str, files: Sequence[Path], project: str, config: Config
) -> dict[str, Parity]:
    """Pick every run of a project with torch in fp32 and with the exported files; by run.

    Both take the same tiles and the same refiners, so all that differs is the detectors' runtime.

    Raises
    ------
    InputError
        If the project or a run can't be read.
    """
    asked = replace(
        config.infer, engine="torch", precision="fp32", tile=config.infer.tile or list(_TILE)
    )
    reference = load_picker(folder, None, asked, CandidatesSettings())
    reference = replace(reference, infer=replace(reference.infer, precision=config.infer.precision))
    other = exported_picker(reference, folder, kind, files)
    opened = open_project(project)
    result = {}
    for source in find_inputs([project], config.data):
        tomogram = source.open()
        truth = opened.read_picks(source.run, config.data.user_id, config.data.session_id)
        picks = [
            picks_of(pick_tomogram(tomogram, p)[0], p.bundle, p.stage) for p in (other, reference)
        ]
        scores: list[float | None] = [None, None]
        if len(truth) and opened.types.names == reference.bundle.types.names:
            scores = [_f4(source.run, p, truth, reference) for p in picks]
        result[source.run] = Parity(
            largest_difference(tomogram, other.engines, reference.engines),
            len(picks[0]),
            len(picks[1]),
            pick_overlap(picks[0], picks[1], SAME_PLACE * float(np.mean(tomogram.voxel_spacing))),
            *scores,
        )
        logger.info("%s: %s", source.run, result[source.run])
    return result


def _f4(run: str, picks: Picks, truth: Picks, picker: Picker) -> float:
    return evaluate({run: picks}, {run: truth}, picker.bundle.types).score


def largest_difference(
    tomogram: Tomogram, engines: Sequence[Engine], references: Sequence[Engine]
) -> float:
    """Largest difference of two sets' mean heatmaps of the tile in a tomogram's middle."""
    multiple = max(e.geometry.multiple for e in references)
    box = middle_box(tomogram.shape, _TILE, (multiple,) * 3)
    if box is None:
        return 0.0
    statistics = intensity_statistics(tomogram.volume)
    tile = normalize(np.asarray(tomogram.volume[box]), statistics)[None, None]
    one, other = (np.mean([e(tile) for e in each], axis=0) for each in (engines, references))
    return float(np.abs(one - other).max())


def pick_overlap(one: Picks, other: Picks, distance: float) -> float:
    """Picks that both have, as a share of all; 1 where there are none.

    Parameters
    ----------
    one, other
    distance
        Å; a pick of the same class no further away is the same.
    """
    shared = 0
    for index in np.unique(one.classes):
        mine, theirs = one.of_class(int(index)), other.of_class(int(index))
        if len(theirs):
            near, _ = cKDTree(theirs.positions).query(mine.positions)
            shared += int(np.count_nonzero(near <= distance))
    total = len(one) + len(other) - shared
    return shared / total if total else 1.0


def write_parity(path: Path, parity: Mapping[str, Parity]) -> None:
    """Write the report as JSON."""
    values = {run: asdict(p) for run, p in parity.items()}
    write_text_atomic(path, json.dumps(values, indent=1) + "\n")

"""`cryo-pick bench`: what this machine reaches, beside what its processor could do.

Every ceiling is measured in the same run: for networks, their own convolutions with nothing
between, and the fastest of a few convolutions that suit a processor; for the peak search, one pass
that takes the maximum; for thresholds, the sort that any exact search needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from cryo_pick.config import Config
from cryo_pick.conv3d_gradient import RightGradients
from cryo_pick.hardware import choose_device
from cryo_pick.objects import CZII_TYPES
from cryo_pick.parts import build_part
from cryo_pick.picks import Picks
from detector.convolution_speed import (
    best_seconds,
    count_flops,
    engine_convolutions,
    fastest_convolution,
    own_convolutions,
)
from detector.engine import make_engine, precision_in_force
from detector.engine_torch import autocast
from detector.infer import predict_heatmap
from detector.int8 import measure_ranges
from detector.kept_geometry import kept_geometry
from detector.parts import LOSSES, output_stride
from detector.peaks import find_peaks
from detector.tiles import Shape, round_up
from detector.train import build_detector
from metrics.thresholds import fit_thresholds

KINDS = ("infer", "peaks", "thresholds", "train")
_KERNEL = 7


@dataclass(frozen=True)
class Measured:
    """One line of the table.

    Attributes
    ----------
    name
        What was run, and on what.
    per_second
        Voxels, or candidates, per second.
    reached, ceiling
        What the processor did and what it could have done, in `unit`.
    unit
        FLOP/s, B/s or candidates/s.
    """

    name: str
    per_second: float
    reached: float
    ceiling: float
    unit: str

    @property
    def ratio(self) -> float:
        """Share of the ceiling that is reached."""
        return self.reached / self.ceiling

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.__dict__, "ratio": self.ratio}


def bench_infer(config: Config, size: Shape, repeats: int) -> list[Measured]:
    """A volume through the detector: all of it, and its network on one tile alone."""
    module = build_detector(config.model, len(CZII_TYPES), 0).eval()
    stride = output_stride(config.model.network)
    device = choose_device(config.infer.accelerator)
    ranges = _ranges_of_noise(module, stride) if device.type == "cpu" else {}
    engine = make_engine(module, config.infer, stride, ranges=ranges)
    # What OpenVINO doesn't run is not in int8.
    rounded = bool(ranges) and engine.name.startswith("OpenVINO")
    precision = precision_in_force(config.infer, rounded)
    multiple = engine.geometry.multiple
    d, h, w = (round_up(n, multiple) for n in size)
    volume = np.random.default_rng(0).standard_normal((d, h, w), np.float32)
    k = engine.geometry.n_classes
    tile = volume[None, None]
    flops, voxels = count_flops(module, tile.shape), float(volume.size)
    turns = []
    for _ in range(repeats):  # in turns, so that what else the machine does slows all of them
        whole = best_seconds(
            lambda: predict_heatmap(volume, [engine], config.infer, k, stride), repeats=1
        )
        alone = best_seconds(lambda: engine(tile), repeats=1)
        own = engine_convolutions(engine, module, tile.shape, device, precision, repeats=1)
        turns.append((whole, alone, own, 1 / fastest_convolution(engine, device, precision, 1)))
    whole, alone, own, fastest = np.min(turns, axis=0).tolist()
    reached, kernels = flops / whole, flops / own
    return [
        Measured(f"detector, {engine.name}", voxels / whole, reached, kernels, "FLOP/s"),
        Measured("its network on one tile", voxels / alone, flops / alone, kernels, "FLOP/s"),
        Measured("detector, of the fastest", voxels / whole, reached, 1 / fastest, "FLOP/s"),
    ]


def bench_train(config: Config, repeats: int) -> list[Measured]:
    """Steps of the detector's training, forward, backward and update, without reading data."""
    device = choose_device(config.infer.accelerator)
    module = build_detector(config.model, len(CZII_TYPES), 0).train().to(device)
    module.to(memory_format=torch.channels_last_3d)
    d, h, w = config.train.crop
    shape = (config.train.optimizer.batch_size, 1, d, h, w)
    stride = output_stride(config.model.network)
    tiles = torch.randn(shape, device=device).to(memory_format=torch.channels_last_3d)
    cells = [n // stride for n in (d, h, w)]
    target = torch.rand(shape[0], len(CZII_TYPES), *cells, device=device)
    criterion = build_part(LOSSES, config.loss.name, config.loss.params, "loss")
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)
    precision = precision_in_force(config.infer)

    def step() -> None:
        optimizer.zero_grad()
        with RightGradients():
            with autocast(device, precision):
                loss = criterion(module(tiles), target)
            loss.backward()
        optimizer.step()

    seconds = best_seconds(step, repeats)
    flops = 3 * count_flops(module, shape)  # each convolution once forward, twice backward
    ceiling = flops / own_convolutions(module, shape, device, precision, True, repeats)
    name = f"training {config.model.network}, {precision}, batches of {shape[0]} x {d}x{h}x{w}"
    return [Measured(name, float(np.prod(shape)) / seconds, flops / seconds, ceiling, "FLOP/s")]


def bench_peaks(size: Shape, repeats: int) -> list[Measured]:
    """The search for local maxima, in a sparse and in a dense volume of one class."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.standard_normal(size, np.float32), 1.0)
    noise /= noise.std()
    sparse = np.clip(noise - 3, 0, 1)
    maximum = best_seconds(lambda: noise.max(), repeats)
    rows = []
    for name, volume, limit in (("sparse", sparse, 0.05), ("dense", noise, 0.0)):
        values: NDArray[np.float32] = volume[None]
        seconds = best_seconds(partial(find_peaks, values, limit, _KERNEL), repeats)
        rows.append(
            Measured(
                f"peaks, {name}",
                volume.size / seconds,
                volume.nbytes / seconds,
                volume.nbytes / maximum,
                "B/s",
            )
        )
    return rows


def bench_thresholds(n_candidates: int, repeats: int) -> list[Measured]:
    """The exact threshold search over candidates of all classes in one run."""
    rng = np.random.default_rng(0)
    k, extent = len(CZII_TYPES), (1840.0, 6300.0, 6300.0)
    truth = Picks(rng.random((200 * k, 3)) * extent, np.arange(200 * k) % k)
    scores = rng.random(n_candidates)
    classes = rng.integers(0, k, n_candidates)
    picks = Picks(rng.random((n_candidates, 3)) * extent, classes, scores)
    seconds = best_seconds(
        lambda: fit_thresholds({"run": picks}, {"run": truth}, CZII_TYPES), repeats
    )
    ordered = best_seconds(lambda: np.argsort(scores), repeats)
    speed = n_candidates / seconds
    return [
        Measured("threshold search", speed, speed, n_candidates / ordered, "candidates/s"),
    ]


def _ranges_of_noise(module: nn.Module, stride: int) -> dict[str, tuple[float, float]]:
    """What int8 needs, so that an untrained network runs as a trained one does."""
    edge = max(64, kept_geometry(module, stride).multiple)
    return measure_ranges(module, [torch.randn(1, 1, edge, edge, edge)])

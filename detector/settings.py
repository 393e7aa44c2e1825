"""Settings of stage 1. Each class is the schema of one config group (configs/<group>/)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryo_pick.settings import OptimizerSettings, WatchSettings


@dataclass
class ModelSettings:
    """Which dense network, and how it is built."""

    network: str = "shuffle_unet"
    """A module of detector/networks."""
    params: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its `build`."""
    path: str | None = None
    """A trained detector's folder, for `detector predict`."""


@dataclass
class TargetSettings:
    """What the network learns to draw."""

    kind: str = "gaussian"
    """gaussian, sphere, voxel (one cell), points (for point detectors) or slices (2D Gaussians)."""
    sigma: float | None = None
    """Å, of the Gaussian around each particle; None: a share of its radius."""
    sigma_per_radius: float = 0.3
    """That share."""
    sigma_min: float = 15.0
    """Å; no Gaussian is narrower."""
    sigma_max: float = 40.0
    """Å; no Gaussian is wider."""
    radius_share: float = 0.5
    """Radius of a sphere, and half the height of the slices that show a particle, per radius."""
    radii: dict[str, float] = field(default_factory=dict)
    """Å, by class: radii used here instead of the project's; classes it lacks don't matter."""
    ignore_missing: bool = False
    """Leave a class out of the loss in runs without a pick of it, instead of seeing background."""


@dataclass
class LossSettings:
    """How heatmap and target are compared."""

    name: str = "weighted_mse"
    """A module of detector/losses."""
    params: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its `build`."""
    auxiliary: list[float] = field(default_factory=list)
    """Weight of each coarser output that the network has in training; the main one weighs 1."""


@dataclass
class DetectorTrainSettings:
    """One detector training."""

    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """How long and how fast."""
    crop: list[int] = field(default_factory=lambda: [64, 64, 64])
    """Voxels, z y x, of one training crop."""
    centred: float = 0.75
    """Share of crops that hold a particle of a class drawn evenly; the others lie anywhere."""
    folds: int = 2
    """Cross-validation folds; whole runs go to one fold."""
    folds_at_once: int | None = None
    """Folds that `cryo-pick train` trains side by side; None: one per GPU, on a CPU one."""
    fold: int | None = None
    """Validate on this fold and train on the others; None: train on every run."""
    watch: WatchSettings = field(default_factory=WatchSettings)
    """What is looked at while it runs."""
    overfit_one: bool = False
    """Only check that the network can learn one crop."""
    start_from: str | None = None
    """A bundle, or a detector's folder or file, whose weights it begins with."""


@dataclass
class CandidatesSettings:
    """How candidates are read off a heatmap."""

    method: str = "peaks"
    """peaks (local maxima), components (connected), points (peaks without doubles) or linked."""
    threshold: float = 0.2
    """Lowest heatmap value of a candidate."""
    kernel: int = 9
    """Edge of the cube, in tomogram voxels, in which a peak is the maximum."""
    min_voxels: int = 2
    """Smallest component, in heatmap voxels."""
    min_slices: int = 3
    """Fewest slices of a linked particle."""
    link_distance: float = 30.0
    """Å, in the plane; marks on neighbouring slices closer than this are one particle."""
    oks: float = 0.85
    """Points of a class that are more alike than this are one; exp(-d² / 2 radius²)."""
    merge_distance: float = 40.0
    """Å; peaks of different classes closer than this are one candidate."""
    max_per_run: int = 20000
    """Keep the strongest."""
    path: str | None = None
    """Folder of out-of-fold candidates, for `refiner train`."""


@dataclass
class InferSettings:
    """How a detector is run over a tomogram."""

    tile: list[int] | None = None
    """Voxels, z y x; None: as the bundle was fitted with, or else the largest that `memory`
    allows."""
    overlap: list[int] | None = None
    """Voxels, z y x; None: as the bundle was fitted with if the tile is, else from the network's
    receptive field."""
    depth: int | None = None
    """Voxels; tiles are that deep at most, for networks that pool depth: they know the depth that
    they were trained on, and its borders; None: as the bundle was fitted with, in training any."""
    memory: str = "2GB"
    """What may be used beside the libraries; a larger tomogram is read piece by piece."""
    views: int | None = None
    """Test-time views: 1, 2, 4 or 8 flips, or 7, the 2nd place's turns and flips; None: as the
    bundle was fitted with, in training 1."""
    engine: str = "auto"
    """auto, torch, openvino, onnx or tensorrt; auto takes the fastest this machine has."""
    precision: str = "auto"
    """auto, fp32, bf16, fp16 or int8; auto takes the fastest that the hardware has: on a CPU int8
    for detectors whose ranges were measured in training, else bf16."""
    accelerator: str = "auto"
    """auto, cpu or cuda."""
    compile: bool = False
    """Have torch compile its network: seconds to minutes once for each shape of tile."""
    cuda_graphs: bool = False
    """Have torch record its network on a GPU and play it back for every tile."""

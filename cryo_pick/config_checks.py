"""Which values of a config make sense, beyond their type."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from cryo_pick.memory import parse_memory


class Check:
    """A condition on one value, and what it expects, in words."""

    def __init__(self, test: Callable[[Any], bool], expected: str) -> None:
        self.test = test
        self.expected = expected

    def or_null(self) -> Check:
        """The same, but null is fine too."""
        return Check(lambda v: v is None or self.test(v), f"{self.expected}, or null")


def at_least(low: float) -> Check:
    """A finite number of at least `low`."""
    return Check(lambda v: math.isfinite(v) and v >= low, f"{low} or more")


def above(low: float) -> Check:
    """A finite number above `low`."""
    return Check(lambda v: math.isfinite(v) and v > low, f"a number above {low}")


def between(low: float, high: float) -> Check:
    """A number from `low` to `high`, both allowed."""
    return Check(lambda v: low <= v <= high, f"a number from {low} to {high}")


def inside(low: float, high: float) -> Check:
    """A number between `low` and `high`, neither allowed."""
    return Check(lambda v: low < v < high, f"a number above {low} and below {high}")


def one_of(*names: object) -> Check:
    """One of a few values."""
    return Check(lambda v: v in names, f"one of {', '.join(map(str, names))}")


def three(each: Callable[[Any], bool], expected: str) -> Check:
    """A list of three numbers, z y x, that each pass."""
    return Check(lambda v: len(v) == 3 and all(map(each, v)), f"three {expected}, [z,y,x]")


def _is_memory(text: str) -> bool:
    try:
        return parse_memory(text) > 0
    except ValueError:
        return False


PRECISION = one_of("auto", "fp32", "bf16", "fp16")
ACCELERATOR = one_of("auto", "cpu", "cuda")
VIEWS = one_of(1, 2, 4, 8)
SHARE = between(0, 1)
BELOW_ONE = Check(lambda v: 0 <= v < 1, "a number from 0 to below 1")
NOT_EMPTY = Check(lambda v: bool(str(v).strip()), "a name")
EIGHTS = three(lambda v: v > 0 and v % 8 == 0, "positive multiples of 8")
MEMORY = Check(_is_memory, "an amount of memory such as 4GB or 512MB")
WALLTIME = Check(
    lambda v: re.fullmatch(r"(\d+-)?\d+:\d\d(:\d\d)?", v) is not None,
    "a time such as 04:00:00 or 1-12:00:00",
)
LINES = Check(
    lambda v: all(line.strip() and "\n" not in line for line in v), "a list of single lines"
)
NAMES = Check(lambda v: all(str(n).strip() for n in v), "a list of names")
SOME_NAMES = Check(lambda v: len(v) > 0 and NAMES.test(v), "at least one name")

OPTIMIZER: dict[str, Check] = {
    "steps": at_least(1),
    "minutes": above(0).or_null(),
    "batch_size": at_least(1),
    "learning_rate": above(0),
    "method": one_of("adamw", "muon"),
    "weight_decay": at_least(0),
    "warmup": BELOW_ONE,
    "ema_decay": BELOW_ONE,
    "clip_norm": above(0),
    "precision": PRECISION,
    "accelerator": ACCELERATOR,
    "devices": at_least(1),
    "nodes": at_least(1),
    "accumulate": at_least(1),
    "seed": at_least(0),
    "checkpoint_every_s": above(0),
    "logger": one_of("csv", "tensorboard", "mlflow", "wandb"),
}
"""Checks of :class:`~cryo_pick.settings.OptimizerSettings`."""

CHECKS: dict[str, Check] = {
    "data.project": NOT_EMPTY.or_null(),
    "data.voxel_spacing": above(0).or_null(),
    "data.tomo_type": NOT_EMPTY.or_null(),
    "data.user_id": NOT_EMPTY.or_null(),
    "data.session_id": NOT_EMPTY.or_null(),
    "data.review_user": NOT_EMPTY.or_null(),
    "data.runs": SOME_NAMES.or_null(),
    "data.exclude_runs": NAMES,
    "data.origin": three(math.isfinite, "finite lengths in Å").or_null(),
    "data.origin_voxels": Check(math.isfinite, "a finite number").or_null(),
    "data.cache": NOT_EMPTY.or_null(),
    "objects": one_of("project", "czii"),
    "model.network": NOT_EMPTY,
    "model.path": NOT_EMPTY.or_null(),
    "target.kind": one_of("gaussian", "sphere", "voxel", "points", "slices"),
    "target.sigma": above(0).or_null(),
    "target.sigma_per_radius": above(0),
    "target.sigma_min": above(0),
    "target.sigma_max": above(0),
    "target.radius_share": above(0),
    "target.radii": Check(lambda v: all(r > 0 for r in v.values()), "radii in Å above 0, by class"),
    "loss.name": NOT_EMPTY,
    "loss.auxiliary": Check(lambda v: all(w >= 0 for w in v), "a list of weights, 0 or more"),
    "augment.scale": BELOW_ONE,
    "augment.shift": at_least(0),
    "augment.noise": at_least(0),
    "augment.rotate_z": between(0, 180),
    "augment.rotate_xy": between(0, 90),
    "augment.zoom": BELOW_ONE,
    "augment.wedge": Check(lambda v: 0 <= v < 60, "a number from 0 to below 60"),
    "augment.paste": SHARE,
    "augment.mixup": one_of("none", "losses", "targets"),
    "augment.mixup_probability": SHARE,
    "pretrain.runs": at_least(0),
    "pretrain.size": EIGHTS,
    "pretrain.seed": at_least(0),
    "pretrain.noise": at_least(0),
    "pretrain.crowding": above(0),
    "pretrain.densities": NOT_EMPTY.or_null(),
    "pretrain.steps": at_least(1),
    "pretrain.minutes": above(0).or_null(),
    **{f"train.optimizer.{name}": check for name, check in OPTIMIZER.items()},
    "train.crop": EIGHTS,
    "train.centred": SHARE,
    "train.folds": at_least(2),
    "train.folds_at_once": at_least(1).or_null(),
    "train.fold": at_least(0).or_null(),
    "train.watch.every": SHARE,
    "train.watch.budget": SHARE,
    "train.watch.runs": at_least(1),
    "train.watch.keep": at_least(0),
    "train.start_from": NOT_EMPTY.or_null(),
    "candidates.method": one_of("peaks", "components", "points", "linked"),
    "candidates.threshold": inside(0, 1),
    "candidates.kernel": Check(lambda v: v >= 3 and v % 2 == 1, "an odd number, 3 or more"),
    "candidates.min_voxels": at_least(1),
    "candidates.min_slices": at_least(1),
    "candidates.link_distance": above(0),
    "candidates.oks": inside(0, 1),
    "candidates.merge_distance": at_least(0),
    "candidates.max_per_run": at_least(1),
    "candidates.path": NOT_EMPTY.or_null(),
    "infer.tile": EIGHTS.or_null(),
    "infer.overlap": three(lambda v: v >= 0, "numbers, 0 or more").or_null(),
    "infer.depth": at_least(1).or_null(),
    "infer.memory": MEMORY,
    "infer.views": one_of(1, 2, 4, 7, 8).or_null(),
    "infer.engine": one_of("auto", "torch", "openvino", "onnx", "tensorrt"),
    "infer.precision": one_of("auto", "fp32", "bf16", "fp16", "int8"),
    "infer.accelerator": ACCELERATOR,
    "refiner.network": NOT_EMPTY,
    "refiner.patch": Check(lambda v: v >= 8 and v % 2 == 0, "an even number, 8 or more"),
    **{f"refiner.optimizer.{name}": check for name, check in OPTIMIZER.items()},
    "refiner.jitter": at_least(0),
    "refiner.truth_share": SHARE,
    "refiner.review_share": SHARE,
    "refiner.reach": above(0),
    "refiner.mixup": at_least(0),
    "refiner.loss": one_of("cross_entropy", "focal", "balanced", "fbeta"),
    "refiner.label_smoothing": BELOW_ONE,
    "refiner.offset_weight": at_least(0),
    "refiner.start_from": NOT_EMPTY.or_null(),
    "refiner.views": VIEWS,
    "refiner.batch_size": at_least(1),
    "fit.beta": above(0),
    "fit.smoothing": BELOW_ONE,
    "fit.bootstrap": at_least(1),
    "fit.confidence": inside(0, 1),
    "tune.trials": at_least(1),
    "tune.workers": at_least(1),
    "tune.seed": at_least(0),
    "cluster.kind": one_of("none", "local", "slurm", "pbs", "address"),
    "cluster.address": NOT_EMPTY.or_null(),
    "cluster.workers": at_least(1).or_null(),
    "cluster.gpus": one_of(0, 1).or_null(),
    "cluster.cores": at_least(1).or_null(),
    "cluster.memory": MEMORY.or_null(),
    "cluster.walltime": WALLTIME,
    "cluster.queue": NOT_EMPTY.or_null(),
    "cluster.account": NOT_EMPTY.or_null(),
    "cluster.directives": LINES,
    "cluster.setup": LINES,
    "cluster.interface": NOT_EMPTY.or_null(),
    "out": NOT_EMPTY.or_null(),
}
"""The check of every key whose type allows values that make no sense."""


def range_problems(config: Any, checks: Mapping[str, Check] = CHECKS) -> list[str]:
    """What is wrong with the values of a config, one line each; empty if nothing is."""
    problems = []
    for key, check in checks.items():
        value = reduce(getattr, key.split("."), config)
        if not check.test(value):
            problems.append(f"{key}: expected {check.expected}, but got {value!r}")
    return problems or _joint_problems(config)


def _joint_problems(config: Any) -> list[str]:
    """Values that make sense each but not together."""
    data, target, train, infer = config.data, config.target, config.train, config.infer
    problems = _cluster_problems(config.cluster)
    if data.origin is not None and data.origin_voxels is not None:
        problems.append("data.origin and data.origin_voxels: expected one of them, but got both")
    if target.sigma_min > target.sigma_max:
        problems.append(
            f"target.sigma_min: expected target.sigma_max ({target.sigma_max}) or less, "
            f"but got {target.sigma_min}"
        )
    if train.fold is not None and train.fold >= train.folds:
        problems.append(
            f"train.fold: expected 0 to {train.folds - 1} (train.folds is {train.folds}), "
            f"but got {train.fold}"
        )
    for name, optimizer in (
        ("train", train.optimizer),
        ("refiner", config.refiner.optimizer),
    ):
        if optimizer.batch_size % optimizer.accumulate:
            problems.append(
                f"{name}.optimizer.accumulate: expected a divisor of batch_size "
                f"({optimizer.batch_size}), but got {optimizer.accumulate}"
            )
        if optimizer.compile and optimizer.checkpointing:
            problems.append(f"{name}.optimizer: expected compile or checkpointing, but got both")
    if infer.overlap is not None and not _fits(infer.overlap, infer.tile):
        problems.append(
            f"infer.overlap: expected infer.tile ({infer.tile}) with less on each axis, "
            f"but got {infer.overlap}"
        )
    return problems


def _cluster_problems(cluster: Any) -> list[str]:
    """What a kind of cluster needs."""
    if (cluster.kind == "address") != (cluster.address is not None):
        return [
            "cluster.address: expected an address with cluster=address and only there, but got "
            f"{cluster.address!r} with cluster={cluster.kind}; give cluster=tcp://HOST:PORT"
        ]
    if cluster.kind in ("slurm", "pbs"):
        return [
            f"cluster.{name}: expected what a job asks for with cluster={cluster.kind}, "
            "but got null"
            for name in ("workers", "cores", "memory")
            if getattr(cluster, name) is None
        ]
    return []


def _fits(overlap: Sequence[int], tile: Sequence[int] | None) -> bool:
    """Whether tiles advance on every axis; a tile that is not given makes room."""
    return tile is None or all(o < t for o, t in zip(overlap, tile, strict=True))

"""What a training is worth while it runs: the picking score on validation runs, not a loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config
from cryo_pick.fabric import training_precision
from cryo_pick.fit import Watch
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import DataRun
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.training_preview import draw_validation
from cryo_pick.weights import load_network, save_network
from detector.engine_torch import TorchEngine
from detector.heatmap import Heatmap
from detector.members import at_heatmap_stride
from detector.parts import output_stride
from metrics.counts import weighted_mean
from metrics.thresholds import cut, fit_thresholds
from refiner.blend import Blend, scored_picks
from refiner.engine_torch import TorchPatchEngine
from refiner.sampling import RefinerRun
from refiner.score import score_candidates

logger = logging.getLogger(__name__)

STAGE1_SHARE = 0.25
"""Weight of stage 1's logit beside stage 2's where no blend is fitted yet."""


def choose_runs(runs: Sequence[DataRun], count: int) -> list[DataRun]:
    """The runs to judge a training on: those with most classes, then with most picks."""
    richest = sorted(runs, key=lambda r: (-len(np.unique(r.truth.classes)), -len(r.truth), r.name))
    return richest[:count]


def picking_score(
    picks: Mapping[str, Picks], truth: Mapping[str, Picks], types: ParticleTypes
) -> tuple[dict[str, float], list[float]]:
    """F4 at the best threshold of each class, and the weighted mean over classes that have truth.

    Returns
    -------
    numbers
        ``f4``, and ``f4 NAME`` of each class with truth.
    thresholds
        Of each class.
    """
    best = fit_thresholds(picks, truth, types)
    present = sorted({int(c) for t in truth.values() for c in np.unique(t.classes)})
    weights = types.weights[present]
    if not weights.sum() > 0:
        weights = np.ones(len(present))
    values = [best[c].f for c in present]
    numbers = {"f4": float(weighted_mean(values, weights)) if present else 0.0}
    numbers |= {f"f4 {types[c].name}": best[c].f for c in present}
    return numbers, [choice.threshold for choice in best]


def keep_best(
    folder: Path, module: nn.Module, spec: NetworkSpec, step: int, score: float, count: int
) -> None:
    """Keep the weights of a step if they are among the best; of equal ones, the earlier.

    What is kept depends on steps and scores alone, not on the order in which they come, so a
    training that was interrupted ends with the same files.
    """
    if not count:
        return
    path = folder / f"step{step:07d}"
    extra = {**spec.extra, "step": step, "f4": score}
    save_network(path, module, replace(spec, extra=extra))
    scores = {}
    for file in sorted(folder.glob("step*.safetensors")):
        known = load_network(file.with_suffix(""), spec.package)[1]
        scores[file] = float(known.extra["f4"])
    for file in sorted(scores, key=lambda f: (-scores[f], f.name))[count:]:
        file.unlink()
        file.with_suffix(".yaml").unlink()


@dataclass(frozen=True)
class DetectorLook:
    """Picks runs with a detector in training; files go into `folder`."""

    runs: Sequence[DataRun]
    types: ParticleTypes
    config: Config
    spec: NetworkSpec
    folder: Path

    def __call__(self, module: nn.Module, step: int) -> dict[str, float]:
        """Score of the averaged weights; keeps them if they are good, and draws a picture."""
        optimizer, k = self.config.train.optimizer, len(self.types)
        device = next(module.parameters()).device
        stride, precision = output_stride(self.spec.network), training_precision(optimizer)
        engine = at_heatmap_stride(TorchEngine(module, stride, precision, device))
        infer = replace(self.config.infer, views=1)
        plain = Blend(np.ones(k), np.zeros(k), np.zeros(k))
        picks: dict[str, Picks] = {}
        heatmaps: dict[str, Heatmap] = {}
        for run in self.runs:
            heatmaps[run.name], found = find_candidates(
                run.tomogram, [engine], self.types, infer, self.config.candidates
            )
            picks[run.name] = scored_picks(found, plain, self.types)
        truth = {run.name: run.truth for run in self.runs}
        numbers, thresholds = picking_score(picks, truth, self.types)
        keep = self.config.train.watch.keep
        keep_best(self.folder / "best", module, self.spec, step, numbers["f4"], keep)
        shown = self.runs[0]
        draw_validation(
            self.folder / "previews" / f"{shown.name}_{step:07d}.png",
            shown.tomogram,
            shown.truth,
            cut(picks[shown.name], thresholds),
            heatmaps[shown.name],
            self.types,
            self.config.target,
        )
        return numbers


@dataclass(frozen=True)
class RefinerLook:
    """Scores candidates of runs with a refiner in training; files go into `folder`."""

    runs: Sequence[RefinerRun]
    types: ParticleTypes
    config: Config
    spec: NetworkSpec
    folder: Path

    def __call__(self, module: nn.Module, step: int) -> dict[str, float]:
        """Score of the averaged weights; keeps them if they are good."""
        settings, k = self.config.refiner, len(self.types)
        blend = Blend(np.full(k, STAGE1_SHARE), np.ones(k), np.zeros(k))
        picks = {}
        for run in self.runs:
            scored = score_candidates(
                Candidates(run.places, run.stage1),
                run.volume,
                run.heatmap,
                run.stride,
                run.voxel_spacing,
                run.origin,
                [TorchPatchEngine(module, next(module.parameters()).device)],
                patch=settings.patch,
                views=1,
                batch_size=settings.batch_size,
            )
            picks[run.name] = scored_picks(scored, blend, self.types)
        truth = {run.name: run.truth for run in self.runs}
        numbers, _ = picking_score(picks, truth, self.types)
        keep = self.config.train.watch.keep
        keep_best(self.folder / "best", module, self.spec, step, numbers["f4"], keep)
        return numbers


def watch_of(
    look: DetectorLook | RefinerLook,
    config: Config,
    on_look: Callable[[int, dict[str, float]], None] | None = None,
) -> Watch | None:
    """How often a training is looked at; None where nothing is to be seen.

    `on_look` is told the step and the numbers; where somebody waits for them, none is left out.
    """
    watch = config.train.watch
    if not watch.every or not look.runs:
        return None

    def told(module: nn.Module, step: int) -> dict[str, float]:
        numbers = look(module, step)
        logger.info("step %d: F4 %.3f on %s", step, numbers["f4"], _names(look))
        if on_look:
            on_look(step, numbers)
        return numbers

    return Watch(told, watch.every, 1.0 if on_look else watch.budget)


def _names(look: DetectorLook | RefinerLook) -> str:
    return ", ".join(run.name for run in look.runs)

"""The steps of `cryo-pick train` in a row, with what they print."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick.config import Config
from cryo_pick.errors import CryoPickError, InputError
from cryo_pick.logs import duration
from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.dataset import Dataset, check_folds, load_dataset
from cryo_pick.pipeline.fit import FitOutcome
from cryo_pick.pipeline.picker import load_picker
from cryo_pick.pipeline.pretrain import check_pretraining, pretrain
from cryo_pick.pipeline.processes import first_only, is_first
from cryo_pick.pipeline.results import fit_bundle, load_report_data
from cryo_pick.pipeline.safe_start import check_detector, check_picks, check_refiner
from cryo_pick.pipeline.spent import Spent, read_spent, spending, write_spent
from cryo_pick.pipeline.tables import print_dataset, print_fit, summary_of_dataset
from cryo_pick.pipeline.train import fold_assignment, train_all, train_fold
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.pipeline.workers import run_in_processes
from cryo_pick.report.data import ReportData
from detector.members import HEATMAP_STRIDE
from detector.parts import output_stride

logger = logging.getLogger(__name__)


def open_training_data(config: Config) -> tuple[Dataset, dict[str, int]]:
    """The project's runs that have picks, checked, and their folds."""
    data = load_dataset(config)
    bare = [name for name, run in data.runs.items() if not len(run.truth)]
    if bare:
        logger.warning("no picks in %s: left out of training", ", ".join(bare))
        data = Dataset(data.types, {n: r for n, r in data.runs.items() if n not in bare})
    folds = fold_assignment(data, config)
    check_folds(data, folds)
    return data, folds


def open_data_of(folder: Path, config: Config) -> tuple[Dataset, dict[str, int]]:
    """:func:`open_training_data` with the config of a trained folder.

    Raises
    ------
    InputError
        As there; where the project has a relative path, with a word on where that begins.
    """
    project = str(config.data.project)
    try:
        return open_training_data(config)
    except InputError as error:
        if "://" in project or Path(project).is_absolute() or Path(project).exists():
            raise
        raise InputError(
            f"{error}; {folder} was trained on {project}, as seen from the folder that its "
            f"training was started in: start this there too"
        ) from error


def check_only(config: Config) -> dict[str, Any]:
    """Check data and settings, print and return what is there and what it will take.

    Target previews are written where an output folder is named.
    """
    data, folds = open_training_data(config)
    seconds = check_start(data, folds, config, None if config.out is None else Path(config.out))
    return {**summary_of_dataset(data, folds), "seconds": round(seconds, 1)}


def check_start(data: Dataset, folds: Mapping[str, int], config: Config, out: Path | None) -> float:
    """All that is looked at before the first step; about how many seconds of training follow.

    See :mod:`cryo_pick.pipeline.safe_start`.
    """
    from detector.combinations import check_training

    check_training(config.model, config.target, config.loss, config.augment)
    check_pretraining(config)
    numbers = sorted(set(folds.values()))
    print_dataset(data, folds)
    check_picks(data)
    runs = data.fold(folds, numbers[0], inside=False)
    detector = check_detector(data, runs, config, out)
    stride = max(HEATMAP_STRIDE, output_stride(config.model.network))
    refiner = check_refiner(config, data.types, stride)
    total = len(numbers) * (detector.seconds + refiner.seconds)
    if config.pretrain.runs:
        limit = 60 * (config.pretrain.minutes or math.inf)
        total += min(config.pretrain.steps * detector.step_seconds, limit)
        logger.info("before them, a detector on %d simulated tomograms", config.pretrain.runs)
    logger.info("%d folds of both: about %s of training", len(numbers), duration(total))
    return total


def fold_slots(config: Config, n_folds: int) -> list[dict[str, str]]:
    """Where folds are trained side by side: environment variables of each place; one: in turn."""
    import torch

    gpus = torch.cuda.device_count() if config.train.optimizer.accelerator != "cpu" else 0
    at_once = config.train.folds_at_once or max(gpus, 1)
    if config.train.optimizer.devices * config.train.optimizer.nodes > 1:
        at_once = 1
    count = min(at_once, n_folds)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    return [{"CUDA_VISIBLE_DEVICES": visible[i % gpus]} if gpus else {} for i in range(count)]


def train_side_by_side(config: Config, out: Path, stage: str, numbers: Sequence[int]) -> None:
    """Train the folds of a stage in processes of their own, where there is more than one place."""
    slots = fold_slots(config, len(numbers))
    if len(slots) > 1:
        run_in_processes([partial(_train_fold, config, out, stage, n) for n in numbers], slots)


def _train_fold(config: Config, out: Path, stage: str, fold: int) -> None:
    data, folds = open_training_data(config)
    train_fold(data, folds, fold, config, TrainFolder(out), stage)


def train_bundle(config: Config, out: Path) -> dict[str, Any]:
    """Train on a project and write a bundle with its report into a folder; the summary."""
    started = time.monotonic()
    data, folds = open_training_data(config)
    first_only(lambda: check_start(data, folds, config, out))
    first = Spent({}, {})
    with spending(first, "pretraining"):
        config = pretrain(config, data.voxel_spacing, out)
    spent = train_all(data, folds, config, out, partial(train_side_by_side, config, out))
    if not is_first():
        return {}
    if config.pretrain.runs:
        spent = Spent(first.seconds | spent.seconds, first.memory | spent.memory)
    spent = spent.at_least(read_spent(out))
    write_spent(out, spent)
    bundle, outcome = fit_bundle(out, data, folds, config)
    write_report_of(out)
    shutil.rmtree(out / "work" / "heatmaps", ignore_errors=True)
    get_ready(out, config)
    print_fit(bundle)
    total = time.monotonic() - started
    logger.info("done in %s", duration(total))
    return summary_of(bundle, outcome, spent, total)


def get_ready(out: Path, config: Config) -> None:
    """Load a bundle as `predict` does, so that the first one on this machine takes no longer.

    What is measured, converted and compared then is kept (:mod:`cryo_pick.network_source`). The
    bundle is written: whatever is wrong here can't be a reason to lose it.
    """
    started = time.monotonic()
    try:
        picker = load_picker(out, None, config.infer, config.candidates)
        for engine in picker.engines:
            _ = engine.receptive_field  # measured when it is first asked for
    except (CryoPickError, OSError, RuntimeError, MemoryError) as error:
        logger.warning("this machine can't run the bundle: %s", error)
    else:
        logger.info("ready to predict, after %s", duration(time.monotonic() - started))


def write_report_of(out: Path) -> tuple[Path, ReportData]:
    """report.html of a trained folder, and what it shows."""
    from cryo_pick.report import write_report

    data, open_volume = load_report_data(out)
    path = out / "report.html"
    write_report(path, data, open_volume)
    return path, data


def summary_of(bundle: Bundle, outcome: FitOutcome, spent: Spent, total: float) -> dict[str, Any]:
    """Numbers for summary.json."""
    return {
        **summary_of_fit(bundle, outcome),
        "seconds": {**spent.seconds, "total": round(total, 1)},
        "peak_memory_bytes": spent.memory,
    }


def summary_of_fit(bundle: Bundle, outcome: FitOutcome) -> dict[str, Any]:
    """The same of a fit alone, which took no steps."""
    return {
        **summary_of_fits(bundle),
        "evidence": outcome.evidence,
        "picks": {
            stage: {run: int(np.sum(len(p))) for run, p in picks.items()}
            for stage, picks in outcome.nested.items()
        },
    }


def summary_of_fits(bundle: Bundle) -> dict[str, Any]:
    """Scores and thresholds that a bundle holds, by stage; no threshold is infinity."""
    return {
        "f4": {stage: fit.f4 for stage, fit in bundle.fits.items()},
        "thresholds": {
            stage: dict(zip(bundle.types.names, fit.cut.tolist(), strict=True))
            for stage, fit in bundle.fits.items()
        },
    }

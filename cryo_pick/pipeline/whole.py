"""The steps of `cryo-pick train` in a row, with what they print."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick.config import Config
from cryo_pick.files import write_text_atomic
from cryo_pick.logs import duration
from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.dataset import Dataset, check_folds, load_dataset
from cryo_pick.pipeline.fit import FitOutcome
from cryo_pick.pipeline.results import TIMINGS, fit_bundle, load_report_data
from cryo_pick.pipeline.tables import print_dataset, print_fit
from cryo_pick.pipeline.train import fold_assignment, train_all

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


def check_only(config: Config) -> None:
    """Check data and settings and print what is there; train nothing."""
    from detector.combinations import check_training
    from detector.train import build_detector
    from refiner.train import build_refiner

    data, folds = open_training_data(config)
    check_training(config.model, config.target, config.loss, config.augment)
    build_detector(config.model, len(data.types), 0)
    build_refiner(config.refiner, len(data.types))
    print_dataset(data, folds)


def train_bundle(config: Config, out: Path) -> dict[str, Any]:
    """Train on a project and write a bundle with its report into a folder; the summary."""
    started = time.monotonic()
    data, folds = open_training_data(config)
    print_dataset(data, folds)
    seconds = train_all(data, folds, config, out)
    before = _earlier(out)
    seconds = {name: max(value, before.get(name, 0.0)) for name, value in seconds.items()}
    write_text_atomic(out / TIMINGS, json.dumps(seconds, indent=1))
    bundle, outcome = fit_bundle(out, data, folds, config)
    write_report_of(out)
    shutil.rmtree(out / "work" / "heatmaps", ignore_errors=True)
    print_fit(bundle)
    total = time.monotonic() - started
    logger.info("done in %s", duration(total))
    return summary_of(bundle, outcome, seconds, total)


def write_report_of(out: Path) -> Path:
    """report.html of a trained folder."""
    from cryo_pick.report import write_report

    data, open_volume = load_report_data(out)
    path = out / "report.html"
    write_report(path, data, open_volume)
    return path


def summary_of(
    bundle: Bundle, outcome: FitOutcome, seconds: Mapping[str, float], total: float
) -> dict[str, Any]:
    """Numbers for summary.json."""
    return {
        "f4": {stage: fit.f4 for stage, fit in bundle.fits.items()},
        "thresholds": {
            stage: dict(zip(bundle.types.names, fit.cut.tolist(), strict=True))
            for stage, fit in bundle.fits.items()
        },
        "evidence": outcome.evidence,
        "picks": {
            stage: {run: int(np.sum(len(p))) for run, p in picks.items()}
            for stage, picks in outcome.nested.items()
        },
        "seconds": {**seconds, "total": round(total, 1)},
    }


def _earlier(out: Path) -> dict[str, float]:
    """Seconds of steps that an earlier start of the same training did."""
    path = out / TIMINGS
    if not path.is_file():
        return {}
    return {str(k): float(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}

"""The steps of the path one at a time: `detector train`, `detector predict`, `refiner train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryo_pick.config import Config, to_yaml
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.json_output import Answer
from cryo_pick.pipeline.dataset import Dataset
from cryo_pick.pipeline.heatmaps import read_heatmap
from cryo_pick.pipeline.pretrain import check_pretraining, pretrain
from cryo_pick.pipeline.processes import first_only, is_first, join_processes
from cryo_pick.pipeline.safe_start import (
    check_detector,
    check_picks,
    check_refiner,
    overfit_one_crop,
)
from cryo_pick.pipeline.tables import print_dataset, summary_of_dataset
from cryo_pick.pipeline.train import (
    predict_fold,
    train_detector_fold,
    train_refiner_fold,
)
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.pipeline.whole import open_training_data
from cryo_pick.run_folder import RunFolder
from cryo_pick.weights import load_network


def train_detector_command(config: Config, answer: Answer, *, dry_run: bool = False) -> None:
    """Train one detector on every run, or on those outside `train.fold`.

    With `dry_run`, only check data and settings, and draw what it would learn from. `answer` is
    told what came of it.
    """
    out = Path(str(config.out))
    join_processes(config.train.optimizer)
    data, folds = open_training_data(config)
    _check_fold(config, set(folds.values()))
    runs = data.fold(folds, config.train.fold, inside=False)

    def check() -> dict[str, Any]:
        check_pretraining(config)
        print_dataset(data, folds)
        check_picks(data)
        expected = check_detector(data, runs, config, out)
        return {**summary_of_dataset(data, folds), "seconds": round(expected.seconds, 1)}

    def overfit() -> None:
        found = overfit_one_crop(data, runs, config)
        answer({"overfit_one": found})
        print(found)

    if dry_run:
        first_only(lambda: answer(check()))
        return
    if config.train.overfit_one:
        first_only(check)
        first_only(overfit)
        return
    with RunFolder(out, to_yaml(config), writes=is_first()) as folder:
        first_only(check)
        begun = pretrain(config, data.voxel_spacing, out)
        train_detector_fold(data, folds, config.train.fold, begun, out / "detector", out / "work")
        summary = {"trained_on": [r.name for r in runs]}
        folder.write_summary(summary)
    if not is_first():
        return
    answer({"weights": out / "detector.safetensors", **summary})
    left = "" if config.train.fold is None else f" fold={config.train.fold}"
    print(f"weights: {out / 'detector.safetensors'}")
    print(f"next: detector predict data={config.data.project} model={out} out=CANDIDATES{left}")


def predict_detector_command(config: Config, answer: Answer) -> None:
    """Candidates of the runs of `train.fold`, or of those that the detector never saw.

    `answer` is told where they are.
    """
    out, weights = Path(str(config.out)), Path(str(config.model.path)) / "detector"
    data, folds = open_training_data(config)
    _check_fold(config, set(folds.values()))
    seen = set(load_network(weights, "detector.networks")[1].trained_on)
    runs = data.fold(folds, config.train.fold, inside=True) if config.train.fold is not None else [
        r for r in data.runs.values() if r.name not in seen
    ]  # fmt: skip
    if not runs:
        raise InputError(
            f"{weights}: this detector has seen every run of {config.data.project}; "
            "train it with fold=K"
        )
    with RunFolder(out, to_yaml(config)) as folder:
        predict_fold(runs, data.types, weights, config, TrainFolder(out))
        summary = {"runs": [r.name for r in runs]}
        folder.write_summary(summary)
    answer({"candidates": out / "oof", **summary})
    print(f"candidates: {out / 'oof'}")
    print(f"next: refiner train data={config.data.project} candidates={out} out=REFINER")


def train_refiner_command(config: Config, answer: Answer, *, dry_run: bool = False) -> None:
    """Train one refiner on the runs that have candidates, without those of `train.fold`.

    With `dry_run`, only check data and settings. `answer` is told what came of it.
    """
    join_processes(config.refiner.optimizer)
    out, source = Path(str(config.out)), TrainFolder(Path(str(config.candidates.path)))
    data, folds = open_training_data(config)
    _check_fold(config, set(folds.values()))
    runs = {n: r for n, r in data.runs.items() if source.candidates(n).is_file()}
    if not runs:
        raise InputError(
            f"{source.root}: no candidates of the project's runs (oof/*.npz); "
            "run detector predict first"
        )
    chosen = Dataset(data.types, runs)

    def check() -> dict[str, Any]:
        print_dataset(chosen, folds)
        stride = read_heatmap(source.heatmap(next(iter(runs)))).stride
        expected = check_refiner(config, data.types, stride)
        return {**summary_of_dataset(chosen, folds), "seconds": round(expected.seconds, 1)}

    if dry_run:
        first_only(lambda: answer(check()))
        return
    with RunFolder(out, to_yaml(config), writes=is_first()) as folder:
        first_only(check)
        train_refiner_fold(
            chosen, folds, config.train.fold, config, source, out / "refiner", out / "work"
        )
        summary = {"runs": list(runs)}
        folder.write_summary(summary)
    if is_first():
        answer({"weights": out / "refiner.safetensors", **summary})
        print(f"weights: {out / 'refiner.safetensors'}")


def _check_fold(config: Config, numbers: set[int]) -> None:
    fold = config.train.fold
    if fold is not None and fold not in numbers:
        raise ConfigError(
            f"fold: expected one of {sorted(numbers)}, but got {fold} (train.folds says how many)"
        )

"""`cryo-pick train`: detector folds, out-of-fold candidates, refiner folds, blend, thresholds.

Each step leaves its result in the bundle's folder and is skipped where the result of the same
settings and data is there, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick.config import Config
from cryo_pick.errors import CryoPickError
from cryo_pick.fit import FitResult
from cryo_pick.folds import assign_folds
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates
from cryo_pick.hardware import choose_device
from cryo_pick.logs import duration, progress
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleTypes
from cryo_pick.pipeline.copies import original, with_copies
from cryo_pick.pipeline.dataset import DataRun, Dataset
from cryo_pick.pipeline.heatmaps import find_candidates, read_heatmap, write_heatmap
from cryo_pick.pipeline.identity import identity_of, is_done, judged_places
from cryo_pick.pipeline.int8_ranges import int8_ranges
from cryo_pick.pipeline.processes import first_only
from cryo_pick.pipeline.spent import Spent, spending
from cryo_pick.pipeline.start_weights import starting_weights
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.pipeline.validate import DetectorLook, RefinerLook, choose_runs, watch_of
from cryo_pick.weights import load_network, save_network
from detector.engine import make_engine
from detector.members import at_heatmap_stride
from detector.parts import output_stride
from detector.train import detector_spec, train_detector, training_run
from refiner.engine import PatchEngine
from refiner.engine_torch import TorchPatchEngine
from refiner.sampling import RefinerRun
from refiner.score import score_candidates
from refiner.train import refiner_spec, train_refiner

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

DETECTORS, REFINERS = "detector.networks", "refiner.networks"


def fold_assignment(data: Dataset, config: Config) -> dict[str, int]:
    """Fold of each run that has picks."""
    return assign_folds([n for n, r in data.runs.items() if len(r.truth)], config.train.folds)


def train_detector_fold(
    data: Dataset,
    folds: Mapping[str, int],
    fold: int | None,
    config: Config,
    weights: Path,
    work: Path,
    on_look: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Train one detector on the runs outside a fold, unless its weights are there.

    `on_look` is told the step and the numbers of each look at the validation runs.
    """
    runs = data.fold(folds, fold, inside=False)
    identity = identity_of(
        [r.identity for r in runs],
        data.types,
        config.model,
        config.target,
        config.loss,
        config.augment,
        config.train,
        *judged_places(runs),
    )
    if is_done(weights, DETECTORS, identity):
        return
    samples = [
        training_run(r.tomogram, r.truth, data.types, config.target, r.reviewed) for r in runs
    ]
    judges = [] if fold is None else data.fold(folds, fold, inside=True)
    spec = detector_spec(config.model, data.types, data.voxel_spacing, [r.name for r in runs])
    start = starting_weights(
        config.train.start_from, "detector", config.model.network, config.model.params, data.types,
        [r.name for r in judges], config.train.optimizer.seed,
    )  # fmt: skip
    look = DetectorLook(
        choose_runs(judges, config.train.watch.runs), data.types, config, spec, work
    )
    with _shown(f"Training detector{_of(fold)}") as show:
        module, result = train_detector(
            samples, len(data.types), config.model, config.loss, config.augment, config.train, work,
            target=config.target, start=start, watch=watch_of(look, config, on_look),
            identity=identity, on_progress=show,
        )  # fmt: skip
    _log_result(f"detector{_of(fold)}", result)

    def with_ranges() -> NetworkSpec:
        stride, tomograms = output_stride(spec.network), [r.tomogram for r in runs]
        return replace(spec, int8_ranges=int8_ranges(module, stride, tomograms, config.infer.depth))

    _keep(weights, work, module, with_ranges, identity, result)


def predict_fold(
    runs: Sequence[DataRun],
    types: ParticleTypes,
    weights: Path,
    config: Config,
    folder: TrainFolder,
) -> None:
    """Heatmaps and candidates of runs that a detector never saw.

    Raises
    ------
    CryoPickError
        If it did see one of them.
    """
    module, spec = load_network(weights, DETECTORS)
    leaked = sorted({original(r.name) for r in runs} & set(spec.trained_on))
    if leaked:
        raise CryoPickError(
            f"{weights}: this detector was trained on {', '.join(leaked)}; candidates of a run "
            "must come from a detector that never saw it"
        )
    identity = identity_of(
        [r.identity for r in runs],
        types,
        config.infer,
        config.candidates,
        spec.extra.get("identity"),
    )
    todo = [r for r in runs if not folder.has_candidates(r.name, identity)]
    if not todo:
        return
    engine = at_heatmap_stride(
        make_engine(module, config.infer, output_stride(spec.network), ranges=spec.int8_ranges)
    )
    with progress("Predicting out of fold", len(todo), "runs") as advance:
        for run in todo:
            heatmap, found = find_candidates(
                run.tomogram, [engine], types, config.infer, config.candidates
            )
            write_heatmap(folder.heatmap(run.name), heatmap)
            write_candidates(
                folder.candidates(run.name),
                found,
                types.names,
                {"identity": identity, "weights": weights.name},
            )
            logger.info("%s: %d candidates", run.name, len(found))
            advance(1)


def refiner_run(run: DataRun, folder: TrainFolder, merge_distance: float) -> RefinerRun:
    """A run with its out-of-fold heatmap and candidates, ready to draw patches from."""
    heatmap = read_heatmap(folder.heatmap(run.name))
    found = read_candidates(folder.candidates(run.name)).candidates
    t = run.tomogram
    return RefinerRun(
        t.volume, heatmap.values, heatmap.stride, found.positions, found.stage1, run.truth,
        t.voxel_spacing, t.origin, run.name, run.reviewed, merge_distance / 2,
    )  # fmt: skip


def train_refiner_fold(
    data: Dataset,
    folds: Mapping[str, int],
    fold: int | None,
    config: Config,
    folder: TrainFolder,
    weights: Path,
    work: Path,
) -> None:
    """Train one refiner on the out-of-fold candidates of the runs outside a fold."""
    runs = data.fold(folds, fold, inside=False)
    made = [read_candidates(folder.candidates(r.name)).metadata.get("identity") for r in runs]
    identity = identity_of(
        [r.identity for r in runs],
        data.types,
        config.refiner,
        config.augment,
        made,
        *judged_places(runs),
    )
    if is_done(weights, REFINERS, identity):
        return
    samples = [refiner_run(r, folder, config.candidates.merge_distance) for r in runs]
    judges = [] if fold is None else data.fold(folds, fold, inside=True)
    judges = [r for r in judges if folder.candidates(r.name).is_file()]
    spec = refiner_spec(config.refiner, data.types, data.voxel_spacing, [r.name for r in runs])
    start = starting_weights(
        config.refiner.start_from, "refiner", config.refiner.network, config.refiner.params,
        data.types, [r.name for r in judges], config.refiner.optimizer.seed,
    )  # fmt: skip
    chosen = choose_runs(judges, config.train.watch.runs)
    judged = [refiner_run(r, folder, config.candidates.merge_distance) for r in chosen]
    look = RefinerLook(judged, data.types, config, spec, work)
    with _shown(f"Training refiner{_of(fold)}") as show:
        module, result = train_refiner(
            samples,
            data.types,
            config.refiner,
            config.augment,
            work,
            start=start,
            watch=watch_of(look, config),
            identity=identity,
            on_progress=show,
        )
    _log_result(f"refiner{_of(fold)}", result)
    _keep(weights, work, module, lambda: spec, identity, result)


def _keep(
    weights: Path,
    work: Path,
    module: nn.Module,
    describe: Callable[[], NetworkSpec],
    identity: str,
    result: FitResult,
) -> None:
    """Describe and write what a training ended with, in the first of its processes."""

    def write() -> None:
        extra = {"identity": identity, "steps": result.steps}
        save_network(weights, module, replace(describe(), extra=extra))
        (work / "checkpoint.pt").unlink(missing_ok=True)  # the weights say it all now

    first_only(write)


def score_fold(runs: Sequence[DataRun], weights: Path, config: Config, folder: TrainFolder) -> None:
    """Stage-2 scores for the candidates of runs that a refiner never saw.

    Raises
    ------
    CryoPickError
        If it did see one of them.
    """
    module, spec = load_network(weights, REFINERS)
    leaked = sorted({original(r.name) for r in runs} & set(spec.trained_on))
    if leaked:
        raise CryoPickError(f"{weights}: this refiner was trained on {', '.join(leaked)}")
    engine = TorchPatchEngine(module, choose_device(config.refiner.optimizer.accelerator))
    with progress("Scoring candidates", len(runs), "runs") as advance:
        for run in runs:
            file = read_candidates(folder.candidates(run.name))
            mark = identity_of(
                file.metadata.get("identity"), spec.extra.get("identity"), config.refiner.views
            )
            if file.candidates.stage2 is None or file.metadata.get("scored") != mark:
                heatmap = read_heatmap(folder.heatmap(run.name))
                scored = score_run(
                    run,
                    heatmap.values,
                    heatmap.stride,
                    file.candidates,
                    [engine],
                    config,
                )
                metadata = file.metadata | {"scored": mark}
                write_candidates(folder.candidates(run.name), scored, file.class_names, metadata)
            advance(1)


def score_run(
    run: DataRun,
    heatmap: Any,
    stride: int,
    candidates: Any,
    members: Sequence[PatchEngine],
    config: Config,
) -> Any:
    """Candidates of one run with stage 2's scores; see :func:`refiner.score.score_candidates`."""
    r = config.refiner
    return score_candidates(
        candidates,
        run.tomogram.volume,
        heatmap,
        stride,
        run.tomogram.voxel_spacing,
        run.tomogram.origin,
        members,
        patch=r.patch,
        views=r.views,
        batch_size=r.batch_size,
    )


def train_fold(
    data: Dataset,
    folds: Mapping[str, int],
    fold: int,
    config: Config,
    folder: TrainFolder,
    stage: str,
) -> None:
    """Train the detector or the refiner of one fold, unless its weights are there."""
    work = folder.training(stage, fold)
    if stage == "detector":
        train_detector_fold(data, folds, fold, config, folder.detector(fold), work)
    else:
        train_refiner_fold(data, folds, fold, config, folder, folder.refiner(fold), work)


def train_all(
    data: Dataset,
    folds: Mapping[str, int],
    config: Config,
    root: Path,
    ahead: Callable[[str, Sequence[int]], None] = lambda stage, numbers: None,
) -> Spent:
    """Every step up to scored out-of-fold candidates; what each took.

    `ahead` is told a stage and its folds before they are trained in turn, and may train them
    elsewhere: weights that are there are taken.
    """
    folder = TrainFolder(root)
    spent = Spent({}, {})
    numbers = sorted(set(folds.values()))
    with spending(spent, "detectors"):
        ahead("detector", numbers)
        for fold in numbers:
            train_fold(data, folds, fold, config, folder, "detector")
    with spending(spent, "out-of-fold candidates"):
        for fold in numbers:
            runs = with_copies(data.fold(folds, fold, inside=True), config.fit.turned_copies)
            weights = folder.detector(fold)
            first_only(partial(predict_fold, runs, data.types, weights, config, folder))
    with spending(spent, "refiners"):
        ahead("refiner", numbers)
        for fold in numbers:
            train_fold(data, folds, fold, config, folder, "refiner")
    with spending(spent, "out-of-fold scores"):
        for fold in numbers:
            runs = with_copies(data.fold(folds, fold, inside=True), config.fit.turned_copies)
            first_only(partial(score_fold, runs, folder.refiner(fold), config, folder))
    return spent


def _of(fold: int | None) -> str:
    return "" if fold is None else f" of fold {fold}"


@contextmanager
def _shown(what: str) -> Iterator[Callable[[float, dict[str, float]], None]]:
    """Progress of a training in percent."""
    done = 0.0
    with progress(what, 100, "%") as advance:

        def show(share: float, numbers: dict[str, float]) -> None:
            nonlocal done
            note = f"loss {numbers['loss']:.4g}, {numbers['steps_per_s']:.3g} steps/s"
            advance(100 * share - done, note)
            done = 100 * share

        yield show


def _log_result(what: str, result: FitResult) -> None:
    logger.info(
        "%s: %d steps in %s, loss %.4g, waiting for data %.1f %% of the time",
        what, result.steps, duration(result.seconds), result.loss, 100 * result.waiting_share,
    )  # fmt: skip

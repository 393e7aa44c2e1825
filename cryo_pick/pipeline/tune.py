"""`cryo-pick tune`: trials of a detector with other settings, judged by how well it picks.

Optuna keeps every trial in a journal file, which any number of processes may share. A trial's
folder is named after its settings, so that a trial that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_pick.config import Config, compose, to_yaml
from cryo_pick.errors import ConfigError, CryoPickError, InputError, OutOfMemory, Preempted
from cryo_pick.files import write_text_atomic
from cryo_pick.locks import Locks
from cryo_pick.pipeline.train import train_detector_fold
from cryo_pick.pipeline.validate import DetectorLook
from cryo_pick.pipeline.whole import open_training_data
from cryo_pick.pipeline.workers import run_in_processes
from cryo_pick.weights import load_network
from detector.parts import NETWORKS

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

JOURNAL, STUDY, BEST = "journal.log", "detector", "best.yaml"
_LOST = "cut off"


@dataclass(frozen=True)
class TuneJob:
    """What every process of a search is told.

    Attributes
    ----------
    words, file
        Settings of the command line and the config file below them, without the space's.
    out
        Folder of the search.
    """

    words: tuple[str, ...]
    file: Path | None
    out: Path

    def config(self, settings: Sequence[str] = ()) -> Config:
        """The config of a trial; a fold is held out to judge it on."""
        config = compose([*self.words, *settings], self.file)
        if config.train.fold is None:
            config.train.fold = 0
        return config


def suggest(trial: optuna.Trial, space: Mapping[str, Any]) -> list[str]:
    """The settings of a trial.

    Parameters
    ----------
    trial
    space
        Nested as the config is; for a setting a list of values, or ``{low, high}`` with
        ``log: true`` or ``step`` (whole numbers if both ends are), or None: left alone.

    Raises
    ------
    ConfigError
        If an entry is neither.
    """
    settings = []
    for key, choice in _leaves(space).items():
        if isinstance(choice, list) and choice:
            value = trial.suggest_categorical(key, choice)
        elif (
            isinstance(choice, Mapping)
            and {"low", "high"} <= choice.keys()
            and (choice.keys() <= {"low", "high", "log", "step"})
        ):
            whole = isinstance(choice["low"], int) and isinstance(choice["high"], int)
            value = (trial.suggest_int if whole else trial.suggest_float)(key, **choice)
        else:
            raise ConfigError(
                f"tune.space.{key}: expected a list of values or {{low, high, log, step}}, "
                f"but got {choice!r}"
            )
        settings.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
    return settings


def _leaves(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What is to be tried, by dotted key."""
    leaves: dict[str, Any] = {}
    for name, value in space.items():
        if isinstance(value, Mapping) and not {"low", "high"} & value.keys():
            leaves |= _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            leaves[prefix + name] = value
    return leaves


def open_study(out: Path, seed: int, *, prune: bool) -> optuna.Study:
    """The search of a folder, new or gone on with.

    Raises
    ------
    ConfigError
        If Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise ConfigError(
            "tune needs Optuna, which is not installed; pip install 'cryo-pick[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(out / JOURNAL))),
        study_name=STUDY,
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(4) if prune else optuna.pruners.NopPruner(),
    )


def run_trials(job: TuneJob, number: int) -> None:
    """Do trials until enough are done; `number` of the process sets what it draws.

    Raises
    ------
    Preempted
        After SIGTERM or SIGUSR1.
    """
    import optuna

    settings = job.config().tune
    study = open_study(job.out, settings.seed + number, prune=settings.prune)
    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def objective(trial: optuna.Trial) -> float:
        try:
            return _score_of(trial, job, settings.space)
        except Preempted:
            trial.set_user_attr(_LOST, True)
            raise

    if sum(t.state in done for t in study.trials) < settings.trials:
        study.optimize(
            objective,
            n_trials=settings.trials,
            callbacks=[optuna.study.MaxTrialsCallback(settings.trials, states=done)],
            catch=(ConfigError, InputError, OutOfMemory),
        )


def _score_of(trial: optuna.Trial, job: TuneJob, space: Mapping[str, Any]) -> float:
    """F4 of a trial's detector on every run of the fold that is held out."""
    import optuna

    chosen = suggest(trial, space)
    config = job.config(chosen)
    fold = config.train.fold
    name = hashlib.blake2b("\n".join(sorted(chosen)).encode(), digest_size=6).hexdigest()
    folder = job.out / "trials" / name
    trial.set_user_attr("settings", chosen)
    trial.set_user_attr("folder", name)
    logger.info("trial %d: %s", trial.number, " ".join(chosen))
    data, folds = open_training_data(config)
    seen = folder / "work" / "validation.csv"

    def report(step: int, numbers: dict[str, float]) -> None:
        # Looks are counted, since steps differ where time decides how many there are.
        before = len(seen.read_text(encoding="utf-8").splitlines()) if seen.is_file() else 1
        trial.report(numbers["f4"], before)
        if trial.should_prune():
            raise optuna.TrialPruned

    weights = folder / "detector"
    with alone_in(folder):
        train_detector_fold(data, folds, fold, config, weights, folder / "work", report)
    module, spec = load_network(weights, NETWORKS)
    runs = data.fold(folds, fold, inside=True)
    silent = replace(config, train=replace(config.train, watch=replace(config.train.watch, keep=0)))
    look = DetectorLook(runs, data.types, silent, spec, folder)
    return look(module, int(spec.extra["steps"]))["f4"]


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A trial's folder for one process: two trials may draw the same settings at the same time.

    The second waits, and then finds weights that are the ones it would have trained.
    """
    with Locks(folder) as locks:
        while not locks.take(folder / "lock.json"):
            time.sleep(0.5)
        yield


def requeue_lost(study: optuna.Study) -> None:
    """Have trials that were cut off done again, each once; they go on from their checkpoints."""
    from optuna.trial import TrialState

    settled = [t.params for t in study.trials if t.state.is_finished() and t.value is not None]
    waiting = [
        t.system_attrs.get("fixed_params") for t in study.trials if t.state == TrialState.WAITING
    ]
    for trial in study.trials:
        cut = trial.state == TrialState.FAIL and trial.user_attrs.get(_LOST)
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            cut = True
        if cut and trial.params and trial.params not in [*settled, *waiting]:
            study.enqueue_trial(trial.params)
            waiting.append(trial.params)


def tune(job: TuneJob) -> dict[str, Any]:
    """Search, write best.yaml, and return what is printed.

    Raises
    ------
    CryoPickError
        If no trial came to an end.
    Preempted
        After SIGTERM or SIGUSR1; the same command goes on.
    """
    from optuna.trial import TrialState

    config = job.config()
    settings = config.tune
    if config.train.optimizer.devices * config.train.optimizer.nodes > 1:
        raise ConfigError("tune: expected devices=1; --workers does trials side by side")
    study = open_study(job.out, settings.seed, prune=settings.prune)
    requeue_lost(study)
    if settings.workers == 1:
        run_trials(job, 0)
    else:
        jobs = [partial(run_trials, job, n) for n in range(settings.workers)]
        run_in_processes(jobs, [{}] * settings.workers)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        raise CryoPickError(
            f"{job.out}: no trial came to an end; its settings may not fit together (see run.log)"
        )
    best = study.best_trial
    found = job.config(best.user_attrs["settings"])
    write_text_atomic(job.out / BEST, to_yaml(replace(found, out=None)))
    trials = [
        {
            "number": t.number,
            "state": t.state.name.lower(),
            "f4": t.value,
            "settings": t.user_attrs.get("settings", []),
        }
        for t in study.trials
    ]
    return {"best": best.number, "f4": best.value, "trials": trials}

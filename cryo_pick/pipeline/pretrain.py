"""Training on simulated tomograms first: what every fold's detector begins with."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from cryo_pick.config import Config
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.logs import progress
from cryo_pick.pipeline.dataset import load_dataset
from cryo_pick.pipeline.processes import first_only
from cryo_pick.pipeline.train import train_detector_fold
from cryo_pick.settings import DataSettings, PretrainSettings
from cryo_pick.simulate.project import SimulationPlan, write_simulation
from cryo_pick.simulate.run import DEFAULT_VOXEL_SPACING, SimulateSettings

logger = logging.getLogger(__name__)

FOLDER = "pretrain"
"""Of a bundle; holds the simulated project, the training's log and its weights."""
_PLAN = "plan.json"


def check_pretraining(config: Config) -> None:
    """Refuse settings of a training on simulated tomograms that can't be followed.

    Raises
    ------
    ConfigError
        If detectors are to begin with other weights too.
    InputError
        If the densities can't be used.
    """
    settings = config.pretrain
    if not settings.runs:
        return
    if config.train.start_from is not None:
        raise ConfigError(
            f"train.start_from={config.train.start_from} and pretrain.runs={settings.runs}: a "
            "detector begins with one of them; leave start_from out, or give pretrain=none"
        )
    try:
        _plan(settings, DEFAULT_VOXEL_SPACING).library()
    except InputError as error:
        raise InputError(f"pretrain.densities: {error}") from error


def pretrain(config: Config, voxel_spacing: float, root: Path) -> Config:
    """Train a detector on simulated tomograms, where that is asked for, unless it is there.

    Parameters
    ----------
    config
        `pretrain` says what is simulated and how long; all else is as for the folds' detectors.
        It has passed :func:`check_pretraining`.
    voxel_spacing
        Of the project, Å.
    root
        Folder of the bundle or detector that is trained afterwards.

    Returns
    -------
    Config
        Whose detectors begin with those weights; `config` itself where `pretrain.runs` is 0.

    Raises
    ------
    ConfigError
        If another detector was trained there.
    """
    settings = config.pretrain
    if not settings.runs:
        return config
    folder = root.absolute() / FOLDER  # a part of the folds' identity, however it is spelt
    first_only(partial(_simulate, _plan(settings, voxel_spacing), folder))
    optimizer = replace(config.train.optimizer, steps=settings.steps, minutes=settings.minutes)
    watch = replace(config.train.watch, every=0.0)  # nothing is held back to be looked at
    simulated = replace(
        config,
        data=DataSettings(project=str(folder / "project"), cache=config.data.cache),
        objects="project",
        train=replace(config.train, optimizer=optimizer, watch=watch),
    )
    logger.info("first a detector for %d simulated tomograms", settings.runs)
    train_detector_fold(
        load_dataset(simulated), {}, None, simulated, folder / "detector", folder / "work"
    )
    return replace(config, train=replace(config.train, start_from=str(folder)))


def _plan(settings: PretrainSettings, voxel_spacing: float) -> SimulationPlan:
    z, y, x = settings.size
    made = SimulateSettings(voxel_spacing, settings.noise, settings.crowding)
    densities = None if settings.densities is None else Path(settings.densities)
    return SimulationPlan(settings.runs, (z, y, x), settings.seed, made, densities)


def _simulate(plan: SimulationPlan, folder: Path) -> None:
    """Write the project, unless it is there as planned."""
    text = json.dumps(asdict(plan), default=str, indent=1)
    written = folder / _PLAN
    if written.is_file() and written.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(parents=True, exist_ok=True)
    written.unlink(missing_ok=True)
    with progress("Simulating tomograms", plan.n_runs, "runs") as advance:
        write_simulation(folder / "project", plan, overwrite=True, on_run=lambda _: advance(1))
    write_text_atomic(written, text)

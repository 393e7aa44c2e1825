"""The demo: every step on a project that is simulated first."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from cryo_pick.config import Config, to_yaml
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.logs import duration, progress
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.batch import predict_batch, prepare_batch, raise_failures
from cryo_pick.pipeline.whole import train_bundle
from cryo_pick.report.figure import write_slice_figure
from cryo_pick.run_folder import RunFolder
from cryo_pick.settings import DataSettings
from cryo_pick.simulate.project import SimulationPlan, write_simulation
from cryo_pick.simulate.run import SimulateSettings
from metrics.evaluate import Evaluation, evaluate

logger = logging.getLogger(__name__)

SIZE = (96, 256, 256)
CROWDING = 6.0
TRAIN_RUNS, TEST_RUNS = 4, 2
_TEST_SEED = 500


def run_demo(out: Path, seed: int, config: Config) -> None:
    """Simulate, train, predict runs that took no part, evaluate, and print the table."""
    started = time.monotonic()
    training, test = out / "project", out / "unseen"
    _simulate(training, TRAIN_RUNS, seed)
    _simulate(test, TEST_RUNS, seed + _TEST_SEED)
    bundle = out / "bundle"
    settings = replace(config, data=replace(config.data, project=str(training)), out=str(bundle))
    with RunFolder(bundle, to_yaml(settings)) as folder:
        folder.write_summary(train_bundle(settings, bundle))
    types, truth = _truth(test)
    scores = {}
    for name, two_stage in (("one stage", False), ("two stages", True)):
        folder_out = out / name.replace(" ", "-")
        predicting = replace(settings, data=DataSettings(), out=str(folder_out))
        batch = prepare_batch([str(test)], bundle, predicting, two_stage=two_stage)
        with RunFolder(folder_out, to_yaml(predicting)) as opened:
            summary = predict_batch(batch, predicting, folder_out, folder_out / "picks.csv")
            opened.write_summary(summary)
        raise_failures(summary)
        picks, _ = read_picks(folder_out, types)
        scores[name] = evaluate(picks, truth, types)
    _picture(out, test, types, truth)
    _print_scores(scores, types)
    print(f"\nreport: {bundle / 'report.html'}\npicture: {out / 'picks.png'}\nbundle: {bundle}")
    print(f"next: cryo-pick predict TOMOGRAMS --model {bundle} --out picks.csv")
    logger.info("demo done in %s", duration(time.monotonic() - started))


def _simulate(folder: Path, n_runs: int, seed: int) -> None:
    if (folder / "copick_config.json").is_file():
        logger.info("%s is there; not simulated again", folder)
        return
    plan = SimulationPlan(n_runs, SIZE, seed, SimulateSettings(crowding=CROWDING))
    with progress(f"Simulating {folder.name}", n_runs, "runs") as advance:
        write_simulation(folder, plan, on_run=lambda _: advance(1))


def _truth(folder: Path) -> tuple[ParticleTypes, dict[str, Picks]]:
    project = open_project(folder)
    return project.types, {run: project.read_picks(run) for run in project.runs}


def _picture(out: Path, test: Path, types: ParticleTypes, truth: dict[str, Picks]) -> None:
    """A slice of an unseen run with the two-stage picks, and what they missed."""
    picks, _ = read_picks(out / "two-stages", types)
    source = find_inputs([test], DataSettings())[0]
    every = np.zeros(len(types))  # the picks are cut already
    found = picks.get(source.run, Picks.empty())
    path = out / "picks.png"
    write_slice_figure(path, source.open(), found, every, types, truth[source.run])


def _print_scores(scores: dict[str, Evaluation], types: ParticleTypes) -> None:
    table = Table(title=f"F4 on {TEST_RUNS} runs that took no part in training or fitting")
    table.add_column("class")
    table.add_column("weight", justify="right")
    for name in scores:
        table.add_column(name, justify="right")
    for kind in types:
        row = [f"{s.per_class[kind.name].fbeta():.3f}" for s in scores.values()]
        table.add_row(kind.name, f"{kind.weight:g}", *row)
    table.add_section()
    table.add_row("weighted F4", "", *(f"{s.score:.3f}" for s in scores.values()))
    Console().print(table)

"""Simulated runs written as a copick project. The only module here that writes files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick import __version__
from cryo_pick.errors import ConfigError
from cryo_pick.files import atomic_path, write_text_atomic
from cryo_pick.formats.copick import create_project, open_project
from cryo_pick.formats.copick_config import CONFIG_NAME
from cryo_pick.objects import CZII_TYPES
from cryo_pick.simulate.densities import load_library
from cryo_pick.simulate.library import Library, built_in_library
from cryo_pick.simulate.run import SimulateSettings, simulate_run

USER_ID = "curation"
SESSION_ID = "0"
MARKER = "simulation"
"""Key of the config that says how a project was simulated; only such a project is replaced."""

_OWN_ENTRIES = {CONFIG_NAME, "static", "overlay"}


@dataclass(frozen=True)
class SimulationPlan:
    """A project to simulate.

    Attributes
    ----------
    n_runs
        Run i is made from `seed` + i alone, so that a longer project begins as a shorter one.
    shape : voxels, zyx
    seed
    settings
    densities
        Folder of density maps; None takes the built-in molecules.
    """

    n_runs: int
    shape: tuple[int, int, int]
    seed: int = 0
    settings: SimulateSettings = field(default_factory=SimulateSettings)
    densities: Path | None = None

    def __post_init__(self) -> None:
        """Check the counts.

        Raises
        ------
        ValueError
            If there are no runs, or the seed is negative.
        """
        if self.n_runs < 1:
            raise ValueError(f"Expected argument `n_runs` to be 1 or more, but got {self.n_runs}.")
        if self.seed < 0:
            raise ValueError(f"Expected argument `seed` to be 0 or more, but got {self.seed}.")

    def library(self) -> Library:
        """The molecules, read or built.

        Raises
        ------
        InputError
            If the folder of densities can't be used.
        """
        spacing = self.settings.voxel_spacing
        if self.densities is None:
            return built_in_library(spacing)
        return load_library(self.densities, CZII_TYPES, spacing)


@dataclass(frozen=True)
class RunSummary:
    """What was made of one run: its name, picks per class and molecules that found no room."""

    run: str
    n_picks: tuple[int, ...]
    n_dropped: int


def run_name(index: int) -> str:
    """Name of run `index`: SIM-0000 and so on."""
    return f"SIM-{index:04d}"


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a place that holds anything but an earlier simulation that may be replaced.

    Raises
    ------
    ConfigError
        If `out` is a file, or a folder that isn't empty; with `overwrite`, if it is not a project
        that `simulate` made, or holds something else besides.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out}: is a file; give a folder for the project")
    entries = {entry.name for entry in out.iterdir()}
    if not entries:
        return
    if not _is_simulation(out):
        raise ConfigError(
            f"{out}: is not empty and was not made by `cryo-pick simulate`; choose another folder"
        )
    if not overwrite:
        raise ConfigError(f"{out}: holds a simulated project; --overwrite replaces it")
    foreign = sorted(entries - _OWN_ENTRIES)
    if foreign:
        raise ConfigError(
            f"{out}: also holds {', '.join(foreign)}, which `cryo-pick simulate` did not make; "
            "move that away first, or choose another folder"
        )


def _is_simulation(folder: Path) -> bool:
    try:
        config = json.loads((folder / CONFIG_NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and MARKER in config


def write_simulation(
    out: Path,
    plan: SimulationPlan,
    *,
    overwrite: bool = False,
    n_workers: int = 1,
    on_run: Callable[[RunSummary], None] | None = None,
) -> list[RunSummary]:
    """Simulate a project and write it; `out` holds all of it or is left as it was.

    Parameters
    ----------
    n_workers
        Processes that simulate runs; the result does not depend on it.
    on_run
        Called after each run, in the order in which they end.

    Returns
    -------
    list of RunSummary
        In the order of the runs.

    Raises
    ------
    ConfigError
        As :func:`check_target`.
    InputError
        If the densities can't be used.
    """
    out = out.absolute()
    check_target(out, overwrite)
    plan.library()  # a broken one is refused before anything is written
    with atomic_path(out) as folder:
        create_project(folder, out.name, CZII_TYPES)
        summaries = []
        for summary in _run_all(folder, plan, n_workers):
            summaries.append(summary)
            if on_run is not None:
                on_run(summary)
        _finish_config(folder, out, plan)
    return sorted(summaries, key=lambda s: s.run)


def _run_all(folder: Path, plan: SimulationPlan, n_workers: int) -> Iterator[RunSummary]:
    """Simulate and write every run, in this process or in several."""
    if n_workers <= 1 or plan.n_runs == 1:
        library = plan.library()
        for index in range(plan.n_runs):
            yield write_run(folder, plan, index, library)
        return
    # Spawned, not forked: forks of a process with threads can deadlock.
    n_workers = min(n_workers, plan.n_runs)
    pool = ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"))
    try:
        jobs = [pool.submit(write_run, folder, plan, index) for index in range(plan.n_runs)]
        for job in as_completed(jobs):
            yield job.result()
    finally:
        pool.shutdown(cancel_futures=True)


def write_run(
    folder: Path, plan: SimulationPlan, index: int, library: Library | None = None
) -> RunSummary:
    """Simulate run `index` of a plan and write its tomograms and picks into a project."""
    library = library or plan.library()
    made = simulate_run(plan.seed + index, plan.shape, plan.settings, library)
    project = open_project(folder)
    run = run_name(index)
    for tomo_type, volume in made.volumes.items():
        project.add_tomogram(run, volume, made.voxel_spacing, tomo_type)
    project.write_picks(run, made.picks, USER_ID, SESSION_ID)
    counts = np.bincount(made.picks.classes, minlength=len(made.types))
    return RunSummary(run, tuple(int(n) for n in counts), made.n_dropped)


def _finish_config(folder: Path, out: Path, plan: SimulationPlan) -> None:
    """Point the config at the project's final place and say how it was made."""
    place = folder / CONFIG_NAME
    config: dict[str, Any] = json.loads(place.read_bytes())
    for kind in ("overlay", "static"):
        config[f"{kind}_root"] = f"local://{out.resolve().as_posix()}/{kind}"
    config["description"] = "Simulated by cryo-pick, with exact truth"
    config[MARKER] = {
        "version": __version__,
        "seed": plan.seed,
        "size": list(plan.shape),
        "densities": None if plan.densities is None else plan.densities.name,
        **asdict(plan.settings),
    }
    write_text_atomic(place, json.dumps(config, indent=1) + "\n")

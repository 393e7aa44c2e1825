"""Candidates as `predict` and `train` leave them in a folder, with the bundle that scored them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import FILE, Bundle, StageFit, read_bundle
from cryo_pick.pipeline.fit import FLOOR
from refiner.blend import scored_picks


@dataclass(frozen=True, eq=False)
class CandidateFolder:
    """Candidates by run, and what scores and cuts them.

    Attributes
    ----------
    root
    bundle
    files
        Candidates file of each run; read when asked for.
    """

    root: Path
    bundle: Bundle
    files: dict[str, Path]

    def candidates(self, run: str) -> Candidates:
        """Candidates of a run.

        Raises
        ------
        InputError
            If there are none, or the file is damaged.
        """
        if run not in self.files:
            raise InputError(f"{self.root}: no candidates of run {run!r}; {_some(self.files)}")
        return read_candidates(self.files[run]).candidates

    def fit(self, candidates: Candidates) -> StageFit:
        """Blend and thresholds of the stage that scored some candidates."""
        return self.bundle.fits["one_stage" if candidates.stage2 is None else "two_stage"]

    def scored(self, run: str) -> Picks:
        """Every (place, class) pair of a run that scores above nothing, not cut."""
        found = self.candidates(run)
        return scored_picks(found, self.fit(found).blend, self.bundle.types, FLOOR)

    def thresholds(self, run: str) -> NDArray[np.float64]:
        """(k,) array, where each class of a run is cut; inf keeps nothing."""
        return self.fit(self.candidates(run)).cut

    def heatmap(self, run: str) -> Path | None:
        """The heatmap of a run, where it was kept."""
        path = self.root / "work" / "heatmaps" / f"{run}.npz"
        return path if path.is_file() else None


def is_candidate_folder(folder: Path) -> bool:
    """Whether `predict` or `train` left candidates there."""
    return (folder / FILE).is_file() and bool(_files(folder))


def open_candidate_folder(folder: Path) -> CandidateFolder:
    """Open a folder made by `predict` or `train`.

    Raises
    ------
    InputError
        If it holds no candidates or no bundle.
    """
    files = _files(folder)
    if not files:
        raise InputError(
            f"{folder}: no candidates here (runs/*/candidates.npz or oof/*.npz); give a folder "
            "made by cryo-pick predict or cryo-pick train"
        )
    return CandidateFolder(folder, read_bundle(folder), files)


@dataclass(frozen=True, eq=False)
class ShownPicks:
    """Picks of one run as they are shown: scored, not cut where the source allows it.

    Attributes
    ----------
    picks
    types
    thresholds : (k,) float64 array
        Where each class is cut; 0 where the source was cut already.
    heatmap
        Its file, where there is one.
    """

    picks: Picks
    types: ParticleTypes
    thresholds: NDArray[np.float64]
    heatmap: Path | None


def shown_picks(
    path: Path, run: str | None, runs: list[str], types: ParticleTypes
) -> tuple[str, ShownPicks]:
    """The run to show and its picks, from any source of picks.

    Parameters
    ----------
    path
        A folder of candidates, or what :func:`~cryo_pick.formats.picks_file.read_picks` reads.
    run
        None: the first of `runs` that has picks.
    runs
        Of the project.
    types
        Classes of the project; a folder of candidates has its own.

    Raises
    ------
    InputError
        If no run of the project has picks there.
    ConfigError
        If `run` is none of the project's.
    """
    if run is not None and run not in runs:
        raise ConfigError(f"--run {run}: the project has no such run; {_some(runs)}")
    if is_candidate_folder(path):
        folder = open_candidate_folder(path)
        chosen = run or _first(runs, folder.files, path)
        shown = ShownPicks(
            folder.scored(chosen),
            folder.bundle.types,
            folder.thresholds(chosen),
            folder.heatmap(chosen),
        )
        return chosen, shown
    picks, types = read_picks(path, types)
    chosen = run or _first(runs, {r for r, p in picks.items() if len(p)}, path)
    return chosen, ShownPicks(picks.get(chosen, Picks.empty()), types, np.zeros(len(types)), None)


def _files(folder: Path) -> dict[str, Path]:
    """Candidates files by run."""
    predicted = {p.parent.name: p for p in sorted((folder / "runs").glob("*/candidates.npz"))}
    return predicted or {p.stem: p for p in sorted((folder / "oof").glob("*.npz"))}


def _first(runs: list[str], there: Collection[str], path: Path) -> str:
    chosen = next((r for r in runs if r in there), None)
    if chosen is None:
        raise InputError(f"{path}: no picks of any run of the project ({_some(runs)})")
    return chosen


def _some(runs: Collection[str]) -> str:
    names = list(runs)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"its runs: {', '.join(names[:10]) or 'none'}{more}"

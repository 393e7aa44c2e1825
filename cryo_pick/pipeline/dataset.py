"""The runs of a project, opened, checked and ready to train on or to predict."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryo_pick.cache import cached_tomogram, stored_key
from cryo_pick.config import Config
from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.errors import ConfigError, InputError, raise_all
from cryo_pick.formats.copick import CopickProject, open_project
from cryo_pick.formats.copick_picks import ACCEPTED, REJECTED
from cryo_pick.logs import progress
from cryo_pick.normalize import IntensityStatistics, intensity_statistics
from cryo_pick.normalized import NormalizedVolume
from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram

log = logging.getLogger(__name__)

SAME_SPACING = 0.01
"""Relative difference of voxel spacings below which tomograms are taken to be alike."""


@dataclass(frozen=True)
class DataRun:
    """One run.

    Attributes
    ----------
    tomogram
        Its volume is normalised where it is read.
    statistics
        Of the volume as stored.
    truth
        Empty where the project has no picks of it. Holds what a reviewer accepted.
    reviewed : (n, 3) float64 array, Å, zyx
        Places that a reviewer judged (`data.review_user`), particles or not.
    identity
        Changes with its name, its voxels, its spacing and origin, and its picks.
    """

    tomogram: Tomogram
    statistics: IntensityStatistics
    truth: Picks
    identity: str
    reviewed: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))

    @property
    def name(self) -> str:
        """The run's name."""
        return self.tomogram.run


@dataclass(frozen=True)
class Dataset:
    """Runs by name, and the classes of their picks."""

    types: ParticleTypes
    runs: dict[str, DataRun]

    @property
    def voxel_spacing(self) -> float:
        """Å, mean over axes and runs."""
        return float(np.mean([r.tomogram.voxel_spacing for r in self.runs.values()]))

    @property
    def truth(self) -> dict[str, Picks]:
        """Truth by run."""
        return {name: run.truth for name, run in self.runs.items()}

    def fold(self, folds: Mapping[str, int], fold: int | None, inside: bool) -> list[DataRun]:
        """Runs of a fold, or those outside it; every run where there is no fold."""
        return [r for n, r in self.runs.items() if fold is None or (folds[n] == fold) == inside]


def project_types(project: CopickProject, objects: str) -> ParticleTypes:
    """Classes with the project's radii and weights, or with the challenge's.

    Raises
    ------
    ConfigError
        If `objects` is neither project nor czii, or the project has classes the challenge lacks.
    """
    if objects == "project":
        return project.types
    if objects != "czii":
        raise ConfigError(f"objects: expected project or czii, but got {objects!r}")
    unknown = sorted(set(project.types.names) - set(CZII_TYPES.names))
    if unknown:
        raise ConfigError(f"objects=czii: the challenge has no class {', '.join(unknown)}")
    own = {t.name: t for t in CZII_TYPES}
    return ParticleTypes(
        tuple(
            replace(t, radius=own[t.name].radius, weight=own[t.name].weight) for t in project.types
        )
    )


def load_dataset(config: Config, *, need_truth: bool = True) -> Dataset:
    """Open every run of the config's project; volumes are decoded into the cache once.

    Raises
    ------
    ConfigError
        If no project is named.
    InputError
        That lists every problem: tomograms that can't be read, picks outside, spacings that differ.
    """
    if config.data.project is None:
        raise ConfigError(
            "data.project: expected a copick project, but none is named; give data=PROJECT"
        )
    project = open_project(config.data.project)
    types = project_types(project, config.objects)
    names = project.select_runs(config.data)
    problems: list[str] = []
    runs: dict[str, DataRun] = {}
    with progress("Reading tomograms", len(names), "runs") as advance:
        for name in names:
            try:
                runs[name] = _load_run(project, name, config)
            except InputError as error:
                problems.append(str(error))
            advance(1)
    problems += [p for run in runs.values() for p in _misplaced(run)]
    problems += _differing_spacings(list(runs.values()))
    if need_truth and not problems and not sum(len(r.truth) for r in runs.values()):
        problems.append(
            "no picks in any run; a detector learns from picks "
            "(data.user_id and data.session_id choose whose)"
        )
    raise_all(problems, InputError, str(project.config))
    return Dataset(types, runs)


def _load_run(project: CopickProject, name: str, config: Config) -> DataRun:
    tomogram = cached_tomogram(project.open_tomogram(name, config.data), config.data.cache)
    try:
        statistics = intensity_statistics(tomogram.volume)
    except InputError as error:
        raise InputError(f"run {name!r}: {error}") from error
    truth = project.read_picks(name, config.data.user_id, config.data.session_id)
    reviewed = np.empty((0, 3))
    if config.data.review_user is not None and not len(truth):
        log.warning("run %s: its review is left out, since it has no other picks", name)
    elif config.data.review_user is not None:
        accepted, rejected = (
            project.read_picks(name, config.data.review_user, s) for s in (ACCEPTED, REJECTED)
        )
        truth = with_accepted(truth, accepted, project_types(project, config.objects).radii)
        reviewed = np.concatenate([accepted.positions, rejected.positions])
    normalised = NormalizedVolume(tomogram.volume, statistics)
    identity = run_identity(tomogram, truth)
    return DataRun(replace(tomogram, volume=normalised), statistics, truth, identity, reviewed)


def with_accepted(truth: Picks, accepted: Picks, radii: NDArray[np.float64]) -> Picks:
    """Truth and what a reviewer accepted, without what is there already.

    An accepted pick within half a radius of a true particle of its class is that particle.

    Parameters
    ----------
    truth, accepted
    radii : (k,) array, Å
    """
    new = np.ones(len(accepted), bool)
    for k, radius in enumerate(radii.tolist()):
        known = truth.of_class(k).positions
        own = np.flatnonzero(accepted.classes == k)
        if len(known) and len(own):
            new[own] = cKDTree(known).query(accepted.positions[own])[0] > radius / 2
    return Picks.concatenate([truth, accepted[new]])


def run_identity(tomogram: Tomogram, truth: Picks) -> str:
    """Short hash of all that is learnt from a run; the order of its picks doesn't count.

    Parameters
    ----------
    tomogram
        As :func:`~cryo_pick.cache.cached_tomogram` gives it.
    truth
    """
    order = np.lexsort((*truth.positions.T, truth.classes))
    place = np.array([tomogram.voxel_spacing, tomogram.origin], np.float64)
    digest = hashlib.blake2b(f"{tomogram.run}\n{stored_key(tomogram)}\n".encode(), digest_size=10)
    for part in (place, truth.positions[order], truth.classes[order]):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _misplaced(run: DataRun) -> list[str]:
    """A problem if many picks lie outside the volume: wrong axes, unit or origin."""
    if not len(run.truth):
        return []
    index = angstrom_to_index(run.truth.positions, run.tomogram.voxel_spacing, run.tomogram.origin)
    outside = int(((index < -1) | (index > np.array(run.tomogram.shape))).any(1).sum())
    if outside <= 0.05 * len(index):
        return []
    return [
        f"run {run.name!r}: {outside} of {len(index)} picks lie outside the tomogram; check axis "
        f"order, unit and origin with: cryo-pick inspect"
    ]


def _differing_spacings(runs: Sequence[DataRun]) -> list[str]:
    """A problem if the runs don't share one voxel spacing."""
    means = {r.name: float(np.mean(r.tomogram.voxel_spacing)) for r in runs}
    if not means:
        return []
    middle = float(np.median(list(means.values())))
    odd = [n for n, s in means.items() if abs(s / middle - 1) > SAME_SPACING]
    return [
        f"run {n!r}: voxel spacing {means[n]:.3f} Å where the others have {middle:.3f} Å; name one "
        f"with data.voxel_spacing or leave the run out with data.exclude_runs=[{n}]"
        for n in odd
    ]


def check_folds(data: Dataset, folds: Mapping[str, int]) -> None:
    """Refuse folds in which a class can't be learnt or can't be judged.

    Raises
    ------
    InputError
        That lists each class without picks in a fold's training or validation runs.
    """
    problems = []
    for fold in sorted(set(folds.values())):
        for inside, part in ((False, "training"), (True, "validation")):
            runs = data.fold(folds, fold, inside)
            seen = {int(c) for r in runs for c in np.unique(r.truth.classes)}
            problems += [
                f"fold {fold}: no {data.types[c].name} in its {part} runs "
                f"({', '.join(r.name for r in runs)})"
                for c in sorted(set(range(len(data.types))) - seen)
            ]
    if problems:
        problems[-1] += (
            "; give more runs or fewer folds (train.folds), or take the class out of the "
            "project's objects"
        )
    raise_all(problems, InputError, "classes without picks")

"""The functions that a notebook needs; each can be had from `cryo_pick` itself.

Positions are (n, 3) float64 arrays in Å, z y x; volumes are (z, y, x); a class index is a place in
the project's :class:`~cryo_pick.objects.ParticleTypes`; scores lie in [0, 1]. What a user can
cause raises an error of :mod:`cryo_pick.errors`, which says what to do; a wrong argument raises
ValueError.

In the examples, `project` is the folder of a copick project and `bundle` that of a trained bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.formats.copick import CopickProject, open_project
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram
from metrics.evaluate import Evaluation
from metrics.evaluate import evaluate as _evaluate
from metrics.matching import match_one_to_one

if TYPE_CHECKING:
    from cryo_pick.pipeline.picker import Picker

__all__ = [
    "cut_candidates",
    "evaluate",
    "find_candidates",
    "load_bundle",
    "match",
    "open_project",
    "open_tomogram",
    "read_picks",
    "simulate",
    "write_picks",
]


def open_tomogram(
    path: str | Path,
    run: str | None = None,
    *,
    tomo_type: str | None = None,
    voxel_spacing: float | None = None,
) -> Tomogram:
    """Open an MRC, an OME-Zarr, or a run of a copick project; voxels are read when sliced.

    Parameters
    ----------
    path
    run
        Of a project; may be left out where there is one run.
    tomo_type
        Of a project; may be left out where a run has one.
    voxel_spacing
        Å; which tomogram of a project, or what an MRC header fails to say.

    Returns
    -------
    Tomogram
        Its `volume` is (d, h, w) and slices like an array; `voxel_spacing` and `origin` are Å, zyx.

    Raises
    ------
    InputError
        If there is no such tomogram, or several, or it is damaged.

    Examples
    --------
    >>> tomogram = open_tomogram(project, "SIM-0000")
    >>> tomogram.shape, tomogram.voxel_spacing
    ((40, 72, 80), (20.0, 20.0, 20.0))
    """
    from cryo_pick.errors import InputError
    from cryo_pick.formats.inputs import find_inputs
    from cryo_pick.settings import DataSettings

    settings = DataSettings(
        tomo_type=tomo_type, voxel_spacing=voxel_spacing, runs=None if run is None else [run]
    )
    found = find_inputs(path, settings)
    if len(found) > 1:
        names = ", ".join(f.run for f in found[:10])
        raise InputError(f"{path}: several runs; name one of {names}")
    return found[0].open()


def read_picks(
    path: str | Path, types: ParticleTypes | None = None, *, user_id: str | None = None
) -> dict[str, Picks]:
    """Read picks by run, from a .csv, a .star, a copick project, or a folder made by `predict`.

    Parameters
    ----------
    path
    types
        Classes to count in; a project brings its own.
    user_id
        Whose picks of a project; None: everybody's but this program's own.

    Raises
    ------
    InputError
        If the source is missing or broken.
    ConfigError
        If `types` is None and the source doesn't say the classes' radii.

    Examples
    --------
    >>> truth = read_picks(project)
    >>> sorted(truth)[0], truth["SIM-0000"].positions.shape[1]
    ('SIM-0000', 3)
    """
    from cryo_pick.formats.picks_file import read_picks as read

    return read(path, types, user_id)[0]


def write_picks(path: str | Path, picks: Mapping[str, Picks], types: ParticleTypes) -> None:
    """Write picks by run as CSV: the columns of the CZII submission and the score, Å, x y z.

    Raises
    ------
    ConfigError
        If the name doesn't end in .csv.
    ValueError
        If a class of the picks has no place in `types`.

    Examples
    --------
    >>> types = open_project(project).types
    >>> write_picks("picks.csv", {"SIM-0000": Picks([[30.0, 20, 10]], [0], [0.5])}, types)
    >>> read_picks("picks.csv", types)["SIM-0000"].positions
    array([[30., 20., 10.]])
    """
    from cryo_pick.errors import ConfigError
    from cryo_pick.formats.picks_csv import write_csv

    if Path(path).suffix.lower() != ".csv":
        raise ConfigError(f"{path}: expected a name ending in .csv")
    write_csv(Path(path), picks, types)


def load_bundle(path: str | Path, *, two_stage: bool | None = None) -> Picker:
    """Load what `cryo-pick train` made, ready to pick.

    Parameters
    ----------
    path
    two_stage
        None: both stages where the bundle has them.

    Raises
    ------
    InputError
        If the bundle is incomplete or damaged.
    ConfigError
        If two stages are asked for and it has one.

    Examples
    --------
    >>> picker = load_bundle(bundle)
    >>> picker.stage, picker.bundle.voxel_spacing
    ('two_stage', 20.0)
    """
    from cryo_pick.pipeline.picker import load_picker
    from detector.settings import CandidatesSettings, InferSettings

    return load_picker(Path(path), two_stage, InferSettings(), CandidatesSettings())


def find_candidates(tomogram: Tomogram, picker: Picker) -> Candidates:
    """Places of a tomogram that may hold a particle, scored by every stage; warnings are logged.

    Parameters
    ----------
    tomogram
        Resampled where its voxel spacing is not the bundle's.
    picker
        From :func:`load_bundle`.

    Returns
    -------
    Candidates
        `positions` (n, 3) Å, zyx; `stage1` (n, k); `stage2` (n, k + 1), whose last column is none.

    Raises
    ------
    InputError
        If the volume can't be used.

    Examples
    --------
    >>> picker = load_bundle(bundle)
    >>> candidates = find_candidates(open_tomogram(project, "SIM-0000"), picker)
    >>> candidates.stage1.shape == (len(candidates), len(picker.bundle.types))
    True
    """
    import logging

    from cryo_pick.pipeline.predict import pick_tomogram

    found, warnings = pick_tomogram(tomogram, picker)
    for warning in warnings:
        logging.getLogger(__name__).warning("run %s: %s", tomogram.run, warning)
    return found


def cut_candidates(
    candidates: Candidates, picker: Picker, thresholds: Mapping[str, float] | None = None
) -> Picks:
    """Picks from candidates, at the bundle's thresholds or at others; no network is run.

    Parameters
    ----------
    candidates
    picker
        From :func:`load_bundle`.
    thresholds
        By class name, in [0, 1]; the bundle's count for the others. A pick is kept when its score
        is at least this.

    Raises
    ------
    ValueError
        If a class has no place in the bundle.

    Examples
    --------
    >>> picker = load_bundle(bundle)
    >>> candidates = find_candidates(open_tomogram(project, "SIM-0000"), picker)
    >>> few = cut_candidates(candidates, picker, dict.fromkeys(picker.bundle.types.names, 1.0))
    >>> many = cut_candidates(candidates, picker, dict.fromkeys(picker.bundle.types.names, 0.0))
    >>> len(few) <= len(many)
    True
    """
    from metrics.thresholds import cut
    from refiner.blend import scored_picks

    types = picker.bundle.types
    given = dict(thresholds or {})
    if unknown := sorted(set(given) - set(types.names)):
        raise ValueError(
            f"Expected `thresholds` of {', '.join(types.names)}, but got {', '.join(unknown)}."
        )
    fit = picker.bundle.fits["one_stage" if candidates.stage2 is None else "two_stage"]
    levels = [given.get(n, t) for n, t in zip(types.names, fit.cut.tolist(), strict=True)]
    return cut(scored_picks(candidates, fit.blend, types, 0.0), levels)


def evaluate(
    picks: Mapping[str, Picks],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    beta: float = 4.0,
) -> Evaluation:
    """Score picks against the truth, as the CZII challenge does, and one to one.

    A pick is a hit within half of its class's radius. Source: the metric of the challenge (CZII
    CryoET Object Identification, 2024), which weighs classes and counts over all runs.

    Parameters
    ----------
    picks, truth
        By run.
    types
    beta
        A miss weighs beta squared times a false pick.

    Returns
    -------
    Evaluation
        `.score`, `.per_class`, `.one_to_one`, `.to_json()`.

    Raises
    ------
    ValueError
        If a class has no place in `types`, or beta is not above 0.

    Examples
    --------
    >>> truth = read_picks(project)
    >>> evaluate(truth, truth, open_project(project).types).score
    1.0
    """
    return _evaluate(dict(picks), dict(truth), types, beta)


def match(
    picks: ArrayLike, truth: ArrayLike, radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of picks and true particles of one class: as many as can be, then the closest.

    Parameters
    ----------
    picks : (n, 3) array, Å, zyx
    truth : (m, 3) array, Å, zyx
    radius
        Å; pairs are no further apart.

    Returns
    -------
    pick_index, truth_index : (p,) int64 arrays
        The pairs.

    Raises
    ------
    ValueError
        If a shape is another one, or the radius is negative.

    Examples
    --------
    >>> found, known = match([[0, 0, 0], [0, 0, 90]], [[0, 0, 8]], radius=30)
    >>> found.tolist(), known.tolist()
    ([0], [0])
    """
    places = [np.asarray(p, np.float64).reshape(-1, 3) for p in (picks, truth)]
    return match_one_to_one(places[0], places[1], radius)


def simulate(
    path: str | Path, runs: int = 2, shape: Sequence[int] = (96, 256, 256), seed: int = 0
) -> CopickProject:
    """Make a copick project of simulated tomograms with exact truth, 10 Å per voxel.

    Parameters
    ----------
    path
        A folder that is not there yet, or empty.
    runs
    shape : voxels, zyx
    seed
        The same seed gives the same project.

    Raises
    ------
    InputError
        If there is a project already.

    Examples
    --------
    >>> made = simulate("simulated", runs=1, shape=(24, 48, 48), seed=1)
    >>> made.runs
    ['SIM-0000']
    """
    from cryo_pick.simulate.project import SimulationPlan, write_simulation
    from cryo_pick.simulate.run import SimulateSettings

    z, y, x = (int(n) for n in shape)
    write_simulation(Path(path), SimulationPlan(runs, (z, y, x), seed, SimulateSettings()))
    return open_project(path)

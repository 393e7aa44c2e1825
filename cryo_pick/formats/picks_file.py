"""Picks from any source that is accepted where a command says PICKS or TRUTH."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import OWN_USER, CopickProject, open_project
from cryo_pick.formats.picks_csv import read_csv
from cryo_pick.formats.star import read_star
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

log = logging.getLogger(__name__)

PREDICTED = "picks.csv"
"""File of a folder made by `predict`."""


def read_picks(
    path: str | Path,
    types: ParticleTypes | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
) -> tuple[dict[str, Picks], ParticleTypes]:
    """Read picks by run.

    Parameters
    ----------
    path
        A .csv, a .star, a folder made by `predict`, or a copick project or its config.
    types
        Classes of the result; None: those of the copick project.
    user_id, session_id
        Whose picks of a copick project; None: everybody's but this program's own, or these where
        there are no others.

    Returns
    -------
    picks
        By run; of a copick project every run, also one without picks.
    types
        What their classes count.

    Raises
    ------
    InputError
        If the source is missing or broken.
    ConfigError
        If `types` is None and the source doesn't say the classes' radii.
    """
    text = str(path)
    local = Path(text)
    if "://" not in text and local.is_dir() and (local / PREDICTED).is_file():
        local, text = local / PREDICTED, str(local / PREDICTED)
    suffix = local.suffix.lower()
    if suffix in (".csv", ".star"):
        if types is None:
            raise ConfigError(
                f"{text}: a {suffix} file doesn't say the radius and weight of its objects; "
                "name them with --objects czii or --objects CONFIG, or give a copick project"
            )
        return (read_csv if suffix == ".csv" else read_star)(local, types), types
    if "://" not in text:
        _check_kind(local)
    project = open_project(text)
    picks = {run: project.read_picks(run, user_id, session_id) for run in project.runs}
    if user_id is None and not any(len(p) for p in picks.values()):
        picks = {run: project.read_picks(run, OWN_USER, session_id) for run in project.runs}
        if any(len(p) for p in picks.values()):
            log.info("%s: only picks of user %s are there; using them", text, OWN_USER)
    if types is None:
        return picks, project.types
    return {run: _renumbered(p, project, types) for run, p in picks.items()}, types


def _check_kind(path: Path) -> None:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix.lower() != ".json":
        raise InputError(
            f"{path}: expected picks as .csv, .star, a folder made by predict, or a copick project "
            f"or its config .json, but got a {path.suffix or 'file without ending'}"
        )


def _renumbered(picks: Picks, project: CopickProject, types: ParticleTypes) -> Picks:
    """The same picks with classes counted in `types`."""
    place = np.zeros(len(project.types), np.int64)
    for index in np.unique(picks.classes).tolist():
        try:
            place[index] = types.index(project.types[index].name)
        except KeyError as error:
            raise InputError(f"{project.config}: {error.args[0]}") from None
    return Picks(picks.positions, place[picks.classes], picks.scores)

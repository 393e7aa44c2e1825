"""A review of a project: its doubtful candidates, and the server of the page."""

from __future__ import annotations

import math
from pathlib import Path

from cryo_pick.config import Config
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import OWN_USER, open_project
from cryo_pick.formats.copick_picks import safe_name
from cryo_pick.pipeline.candidate_folder import open_candidate_folder
from cryo_pick.review.choose import doubts_of_run, most_doubtful
from cryo_pick.review.pictures import picture_maker
from cryo_pick.review.server import ReviewServer
from cryo_pick.review.session import ReviewSession
from metrics.thresholds import cut


def open_review(config: Config, folder: Path, user: str, limit: int, port: int) -> ReviewServer:
    """A server that is bound but does not answer yet.

    Parameters
    ----------
    config
        Its `data` says which project, runs and tomogram.
    folder
        Made by `predict` or `train`.
    user
        Whose picks the verdicts are.
    limit
        Most candidates to show.
    port
        0: any that is free.

    Raises
    ------
    InputError
        If the project or the candidates can't be read.
    ConfigError
        If the classes differ, or the user's name can't be used.
    """
    try:
        safe_name(user, "--user")
    except InputError as error:
        raise ConfigError(str(error)) from error
    if user == OWN_USER:
        raise ConfigError(f"--user {user}: that is this program's own name; choose another")
    project, source = open_project(str(config.data.project)), open_candidate_folder(folder)
    types = source.bundle.types
    if project.types.names != types.names:
        raise ConfigError(
            f"{folder}: its classes are {', '.join(types.names)}, the project's "
            f"{', '.join(project.types.names)}; review them with the project they belong to"
        )
    runs = [run for run in project.select_runs(config.data) if run in source.files]
    if not runs:
        raise InputError(f"{folder}: no candidates of any run of {project.config}")
    found = [
        d for r in runs for d in doubts_of_run(r, source.candidates(r), source.bundle.fits, types)
    ]
    doubts = most_doubtful(found, limit)
    picture = picture_maker(
        doubts,
        types,
        lambda run: project.open_tomogram(run, config.data),
        lambda run: cut(source.scored(run), source.thresholds(run)),
    )
    thresholds = {
        run: {
            name: t if math.isfinite(t) else None
            for name, t in zip(types.names, source.thresholds(run).tolist(), strict=True)
        }
        for run in runs
    }
    return ReviewServer(ReviewSession(project, user, doubts), thresholds, picture, port)

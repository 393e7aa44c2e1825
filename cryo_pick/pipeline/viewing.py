"""What the viewer shows of a project: one run, its picks, the truth, the heatmap."""

from __future__ import annotations

from pathlib import Path

from cryo_pick.config import Config
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.picks import Picks
from cryo_pick.pipeline.candidate_folder import shown_picks
from cryo_pick.pipeline.dataset import project_types
from cryo_pick.pipeline.heatmaps import read_heatmap
from cryo_pick.view.viewer import Scene


def load_scene(
    config: Config, picks: Path, truth: str | None, run: str | None, heatmap: Path | None
) -> Scene:
    """Read what is shown of one run.

    Parameters
    ----------
    config
        Its `data` says which project and which tomogram.
    picks
        A folder of candidates, or any file of picks.
    truth
        Any source of picks; None: unknown.
    run
        None: the first run with picks.
    heatmap
        Of that run; None: the one that was kept beside the candidates, if any.

    Raises
    ------
    InputError
        If something can't be read.
    ConfigError
        If the run isn't there.
    """
    project = open_project(str(config.data.project))
    runs = project.select_runs(config.data)
    types = project_types(project, config.objects)
    chosen, shown = shown_picks(picks, run, runs, types)
    tomogram = project.open_tomogram(chosen, config.data)
    known = None
    if truth is not None:
        by_run, _ = read_picks(truth, shown.types, config.data.user_id, config.data.session_id)
        known = by_run.get(chosen, Picks.empty())
    path = heatmap or shown.heatmap
    kept = None if path is None else read_heatmap(path)
    return Scene(
        tomogram,
        shown.types,
        shown.picks,
        shown.thresholds,
        known,
        None if kept is None else kept.values.max(axis=0),
        1 if kept is None else kept.stride,
    )

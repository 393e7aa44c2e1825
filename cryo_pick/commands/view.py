"""``cryo-pick view``: a run in Neuroglancer, with its picks, their scores and the truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryo_pick.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument("config.data.project", metavar="PROJECT", help="copick project or config")
    parser.add_argument(
        "--picks", metavar="PICKS", type=Path, required=True,
        help="folder made by predict or train (scores move the slider), .csv, .star, or project",
    )  # fmt: skip
    parser.add_argument(
        "--truth", metavar="TRUTH", help="true particles: .csv, .star or copick project"
    )
    parser.add_argument("--run", metavar="RUN", help="run to show (the first one with picks)")
    parser.add_argument(
        "--heatmap", metavar="FILE", type=Path,
        help="heatmap .npz, where it is not beside the picks (work/heatmaps/RUN.npz)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (any free one)")
    parser.add_argument("--open", action="store_true", help="open a browser")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Serve the viewer and print its address; until Ctrl-C."""
    if config is None or config.data.project is None:  # PROJECT is required
        raise ValueError("Expected argument `config` to name a project.")
    from cryo_pick.pipeline.viewing import load_scene
    from cryo_pick.serving import wait_for_interrupt
    from cryo_pick.view.viewer import open_viewer

    scene = load_scene(config, args.picks, args.truth, args.run, args.heatmap)
    viewer = open_viewer(scene, args.port)
    return wait_for_interrupt(viewer.get_viewer_url(), f"run {scene.tomogram.run}", args.open)

"""A small project exported to every format, and who reads each file back: for tests and docs."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryo_pick.cli import main
from cryo_pick.formats.copick import OWN_USER, create_project
from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks
from tests.reference.readers import SHAPE, SPACING

RUNS = ("TS_1", "TS_20")
UNBINNED = {"TS_1": (165, 253, 257), "TS_20": (164, 252, 256)}
"""z y x of the tomograms before binning by 4, which divides only the second."""
PIXEL = SPACING / 4
HERE, STABLE, PRERELEASE = "here", "copick, stable", "copick, pre-release"
TOLERANCE = 0.001
"""Å between a pick and what another program reads."""


@dataclass(frozen=True)
class Reading:
    """One program reading one format: a function of readers.py, where it runs, its arguments."""

    format: str
    reader: str
    where: str
    arguments: tuple[str, ...]


READINGS = (
    Reading("csv", "pandas_csv", HERE, ("picks.csv",)),
    Reading("kaggle", "pandas_csv", HERE, ("submission.csv",)),
    Reading("star", "starfile_star", HERE, ("picks.star",)),
    Reading("relion5", "starfile_relion5", HERE, ("relion5",)),
    Reading("relion5", "starfile_index", HERE, ("relion5",)),
    Reading("relion5", "copick_star", PRERELEASE, ("relion5/particles.star", "t.star", "5")),
    Reading("relion4", "starfile_relion4", HERE, ("relion4.star",)),
    Reading("relion4", "copick_star", PRERELEASE, ("relion4.star", "t.star", "4")),
    Reading("warp", "starfile_warp", HERE, ("warp.star",)),
    Reading("eman", "json_eman", HERE, ("eman",)),
    Reading("imod", "pandas_imod", HERE, ("imod",)),
    Reading("dynamo", "dynamotable_tbl", PRERELEASE, ("dynamo.tbl",)),
    Reading("dynamo", "copick_dynamo", PRERELEASE, ("dynamo.tbl",)),
    Reading("chimerax", "xml_chimerax", HERE, ("chimerax",)),
    Reading("napari", "pandas_napari", HERE, ("napari",)),
    Reading("copick", "copick_picks", STABLE, ("project/copick_config.json", OWN_USER)),
    Reading("copick", "copick_picks", PRERELEASE, ("project/copick_config.json", OWN_USER)),
)
"""Of picks."""

_PROJECT = ("project/copick_config.json", "TS_1", "denoised")
VOLUMES = (
    Reading("copick", "copick_volume", STABLE, _PROJECT),
    Reading("copick", "copick_volume", PRERELEASE, _PROJECT),
    Reading("mrc", "mrcfile_volume", HERE, ("mrc/TS_1.mrc",)),
    Reading("ome-zarr", "ome_zarr_volume", PRERELEASE, ("zarr/TS_1.zarr",)),
    Reading("ome-zarr-0.5", "ome_zarr_volume", PRERELEASE, ("zarr5/TS_1.zarr",)),
)
"""Of tomograms."""

OUTPUTS = {
    "csv": "picks.csv", "kaggle": "submission.csv", "star": "picks.star", "relion5": "relion5",
    "relion4": "relion4.star", "warp": "warp.star", "eman": "eman", "imod": "imod",
    "dynamo": "dynamo.tbl", "chimerax": "chimerax", "napari": "napari", "mrc": "mrc",
    "ome-zarr": "zarr", "ome-zarr-0.5": "zarr5",
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Where the files are, and what is in them."""

    folder: Path
    picks: dict[str, Picks]
    volume: np.ndarray

    def points(self, with_score: bool = True) -> list[list[Any]]:
        """[run, class, x, y, z, score] of every pick, in Å."""
        return [
            [run, CZII_TYPES[int(k)].name, *zyx[::-1].tolist(), s if with_score else 1.0]
            for run, picks in self.picks.items()
            for zyx, k, s in zip(picks.positions, picks.classes, picks.scores, strict=True)
        ]


def make_scene(folder: Path) -> Scene:
    """A project of two runs with picks of every class, not yet exported."""
    rng = np.random.default_rng(0)
    project = create_project(folder / "project", "project", CZII_TYPES)
    volume = rng.normal(size=SHAPE).astype(np.float32)
    picks = {}
    for run in RUNS:
        project.add_tomogram(run, volume, SPACING, "denoised")
        positions = np.round(rng.random((24, 3)) * np.array(SHAPE) * SPACING, 3)
        scores = np.round(rng.random(24), 6)
        picks[run] = Picks(positions, np.sort(np.arange(24) % 6), scores)
        project.write_picks(run, picks[run], OWN_USER, "0")
    (folder / "t.star").write_text(tomograms_star())
    return Scene(folder, picks, volume)


def tomograms_star() -> str:
    """RELION's tomograms.star of the two runs, as text by hand."""
    columns = ["TomoName", "TomoSizeX", "TomoSizeY", "TomoSizeZ", "TomoTiltSeriesPixelSize"]
    head = "".join(f"_rln{name} #{i}\n" for i, name in enumerate(columns, 1))
    rows = "".join(f"{run} {x} {y} {z} {PIXEL}\n" for run, (z, y, x) in UNBINNED.items())
    return f"data_global\n\nloop_\n{head}{rows}\n"


def export(scene: Scene, format_: str, out: str | None = None) -> int:
    """Write a format by the command; its exit code."""
    words = ["export", str(scene.folder / "project"), "--to", format_, "-q"]
    words += ["--out", str(scene.folder / (out or OUTPUTS[format_]))]
    with contextlib.redirect_stdout(io.StringIO()):
        return main([*words, "--unbinned", str(scene.folder / "t.star")])


def largest_error(found: list[list[Any]], expected: list[list[Any]]) -> float:
    """Å between points and what was expected, matched by run, class and score.

    Raises
    ------
    AssertionError
        If a run, class or score is another one.
    """
    key = lambda row: (row[0], row[1], round(row[5], 5), row[2])  # noqa: E731
    found, expected = sorted(found, key=key), sorted(expected, key=key)
    assert [r[:2] for r in found] == [r[:2] for r in expected]
    np.testing.assert_allclose([r[5] for r in found], [r[5] for r in expected], atol=1e-6)
    places = np.array([[r[2:5] for r in rows] for rows in (found, expected)], float)
    return float(np.abs(places[0] - places[1]).max())

"""Turned copies of validation runs, so that thresholds are fitted on more than the runs show.

A network answers a little differently when its input is turned, and the mirror images that are
averaged at inference hold no quarter turn: the copy is one more draw of the same particles' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cryo_pick.coordinates import angstrom_to_index, index_to_angstrom
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import DataRun

_MARK = "~turned"


def turned(run: DataRun) -> DataRun:
    """A run after a quarter turn about z: tomogram and picks; its name says so."""
    t = run.tomogram
    width = t.shape[2]
    (sz, sy, sx), (oz, oy, ox) = t.voxel_spacing, t.origin
    spacing, origin = (sz, sx, sy), (oz, ox, oy)
    z, y, x = angstrom_to_index(run.truth.positions, t.voxel_spacing, t.origin).T
    index = np.stack([z, width - 1 - x, y], 1)
    tomogram = replace(
        t, run=t.run + _MARK, volume=t.volume.turned(), voxel_spacing=spacing, origin=origin
    )
    places = index_to_angstrom(index, spacing, origin)
    return replace(run, tomogram=tomogram, truth=Picks(places, run.truth.classes, run.truth.scores))


def with_copies(runs: Sequence[DataRun], copies: bool) -> list[DataRun]:
    """The runs and, if asked, their turned copies behind them."""
    return [*runs, *(turned(r) for r in runs)] if copies else list(runs)


def original(name: str) -> str:
    """Name of the run that a copy is of; of a run, its own."""
    return name.removesuffix(_MARK)


def is_copy(name: str) -> bool:
    """Whether a name is that of a turned copy."""
    return name.endswith(_MARK)

"""The bare CZII submission: `id,experiment,particle_type,x,y,z`, Å."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryo_pick.formats import csv_format
from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_csv import write_csv_records
from cryo_pick.formats.records import Records
from cryo_pick.objects import ParticleTypes


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the file `out`, in Å."""
    write_csv_records(out, records, with_score=False)
    return [out]


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read the file; the class may not be left out, and every score is 1."""
    return csv_format.read(path, types, grid_of, single)

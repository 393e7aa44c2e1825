"""cryo-pick's own CSV as a format of `import` and `export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryo_pick.formats.grid import Grid, GridOf
from cryo_pick.formats.picks_csv import read_csv_records, write_csv_records
from cryo_pick.formats.records import Records
from cryo_pick.objects import ParticleTypes


def write(
    out: Path, records: Records, types: ParticleTypes | None, grids: Mapping[str, Grid]
) -> list[Path]:
    """Write the file `out`, in Å."""
    write_csv_records(out, records)
    return [out]


def read(
    path: Path, types: ParticleTypes | None, grid_of: GridOf, single: str | None = None
) -> Records:
    """Read the file; runs whose grid is None are left out."""
    records = read_csv_records(path, types)
    kept = {run: found for run, found in records.runs.items() if grid_of(run) is not None}
    return Records(records.names, kept)

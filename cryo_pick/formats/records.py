"""Picks of several runs together with the columns that :class:`Picks` has no place for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks


@dataclass(frozen=True, eq=False)
class RunPicks:
    """Picks of one run.

    Attributes
    ----------
    picks
    extra
        Further columns as text, each as long as the picks.
    """

    picks: Picks
    extra: dict[str, list[str]] = field(default_factory=dict)

    def keep(self, mask: NDArray[np.bool_]) -> RunPicks:
        """Those picks that a mask selects."""
        columns = {
            name: [v for v, k in zip(values, mask, strict=True) if k]
            for name, values in self.extra.items()
        }
        return RunPicks(self.picks[mask], columns)


@dataclass(frozen=True, eq=False)
class Records:
    """What a file of picks holds.

    Attributes
    ----------
    names
        Class names; a class index is a place in them.
    runs
        By run.
    """

    names: tuple[str, ...]
    runs: dict[str, RunPicks]

    @property
    def columns(self) -> list[str]:
        """Names of the further columns of all runs, in the order of their first occurrence."""
        return list(dict.fromkeys(c for r in self.runs.values() for c in r.extra))

    def picks(self) -> dict[str, Picks]:
        """The picks alone."""
        return {run: r.picks for run, r in self.runs.items()}

    def renamed(self, names: Mapping[str, str]) -> Records:
        """The runs in `names`, called as it says.

        Raises
        ------
        ConfigError
            If two runs get the same name.
        """
        taken: dict[str, str] = {}
        for run in self.runs:
            if run in names and taken.setdefault(names[run], run) != run:
                raise ConfigError(
                    f"runs {taken[names[run]]!r} and {run!r} both become {names[run]!r}; "
                    "give --rename rules that keep them apart"
                )
        kept = {names[run]: r for run, r in self.runs.items() if run in names}
        return Records(self.names, kept)

    def of_classes(self, wanted: Sequence[str]) -> Records:
        """Only the picks of some classes."""
        index = [self.names.index(name) for name in wanted]
        kept = {run: r.keep(np.isin(r.picks.classes, index)) for run, r in self.runs.items()}
        return replace(self, runs=kept)


def extra_rows(records: Records, run: str, missing: str = "") -> list[list[str]]:
    """Rows of the further columns of one run, in the order of `records.columns`."""
    found, count = records.runs[run].extra, len(records.runs[run].picks)
    columns = [found.get(name, [missing] * count) for name in records.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[]] * count


def need_types(types: ParticleTypes | None, what: str) -> ParticleTypes:
    """The classes with their radii.

    Raises
    ------
    ConfigError
        If they aren't known.
    """
    if types is None:
        raise ConfigError(
            f"{what} needs the classes' radii or order; name them with --objects czii or a project"
        )
    return types


def files_by_run(path: Path, suffix: str) -> dict[str, Path]:
    """Files that hold one run each, by the run they are called after.

    Parameters
    ----------
    path
        One such file, or the folder of them.

    Raises
    ------
    InputError
        If there is none.
    """
    if path.is_file():
        return {path.name.removesuffix(suffix): path}
    found = {p.name.removesuffix(suffix): p for p in sorted(path.glob(f"*{suffix}"))}
    if not found:
        raise InputError(f"{path}: expected a file or a folder of files that end in {suffix}")
    return found


def write_by_run(
    out: Path, suffix: str, runs: Sequence[str], write: Callable[[Path, str], None]
) -> list[Path]:
    """Write one file per run: into the folder `out`, or a single run as the file `out`.

    Raises
    ------
    ConfigError
        If `out` is called like a file, and there are several runs.
    InputError
        If a run's name can't be a file's.
    """
    if out.name.endswith(suffix) and not out.is_dir():
        if len(runs) != 1:
            raise ConfigError(
                f"--out {out}: this format has one file per run, and there are {len(runs)}; "
                "give a folder"
            )
        write(out, runs[0])
        return [out]
    written = []
    for run in runs:
        if not run or run.startswith(".") or any(c in "/\\" or ord(c) < 32 for c in run):
            raise InputError(f"run {run!r:.80} can't be used as a file name; give --rename")
        written.append(out / f"{run}{suffix}")
        write(written[-1], run)
    return written

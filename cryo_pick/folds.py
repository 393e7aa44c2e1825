"""Cross-validation folds: whole runs, never parts of one."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick.errors import ConfigError, InputError


def assign_folds(runs: Sequence[str], n_folds: int) -> dict[str, int]:
    """Fold of each run: the sorted runs are dealt out in turn, so the folds are even and stable.

    Raises
    ------
    ConfigError
        If `n_folds` is below 1.
    InputError
        If there are fewer runs than folds.
    """
    if n_folds < 1:
        raise ConfigError(f"train.folds: expected 1 or more, but got {n_folds}")
    if len(runs) < n_folds:
        raise InputError(
            f"{len(runs)} runs can't be dealt out to {n_folds} folds; add runs or set "
            f"train.folds={max(len(runs), 1)}"
            + ("" if len(runs) > 1 else " (cross-validation needs 2 runs at least)")
        )
    return {run: i % n_folds for i, run in enumerate(sorted(runs))}

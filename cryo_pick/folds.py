"""Cross-validation folds: whole runs, never parts of one."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick.errors import InputError


def assign_folds(runs: Sequence[str], n_folds: int) -> dict[str, int]:
    """Fold of each run: the sorted runs are dealt out in turn, so the folds are even and stable.

    Raises
    ------
    InputError
        If there are fewer runs than folds.
    """
    if len(runs) < n_folds:
        raise InputError(
            f"{len(runs)} runs can't be dealt out to {n_folds} folds; add runs or set "
            f"train.folds={max(len(runs), 1)}"
            + ("" if len(runs) > 1 else " (cross-validation needs 2 runs at least)")
        )
    return {run: i % n_folds for i, run in enumerate(sorted(runs))}

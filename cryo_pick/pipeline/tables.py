"""Tables that commands print to stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.dataset import Dataset
from metrics.ceiling import Ceiling
from metrics.counts import weighted_mean

MOST_FOLD_COLUMNS = 3
"""Of more folds than that, their range is shown: a terminal has 80 letters."""


def print_dataset(data: Dataset, folds: Mapping[str, int]) -> None:
    """Picks of each class: in all runs, in the emptiest and the fullest one, and in the folds."""
    shapes = {" x ".join(map(str, run.tomogram.shape)) for run in data.runs.values()}
    size = shapes.pop() if len(shapes) == 1 else f"{len(shapes)} sizes"
    table = Table(
        title=f"{len(data.runs)} runs of {size} voxels at {data.voxel_spacing:.3f} Å",
        caption="folds: picks learnt from / judged on",
    )
    table.add_column("class")
    for heading in ("radius Å", "weight", "picks", "a run"):
        table.add_column(heading, justify="right")
    numbers = sorted(set(folds.values()))
    few = len(numbers) <= MOST_FOLD_COLUMNS
    for heading in [f"fold {n}" for n in numbers] if few else [f"each of {len(numbers)} folds"]:
        table.add_column(heading, justify="right")
    counts = {
        name: np.bincount(run.truth.classes, minlength=len(data.types))
        for name, run in data.runs.items()
    }
    for index, kind in enumerate(data.types):
        each = [int(c[index]) for c in counts.values()]
        parts = [_parts_of(counts, folds, fold, index) for fold in numbers]
        if few:
            in_folds = ["/".join(map(str, part)) for part in parts]
        else:
            in_folds = [" / ".join(_spread(side) for side in zip(*parts, strict=True))]
        spread = _spread(each)
        table.add_row(
            kind.name, f"{kind.radius:g}", f"{kind.weight:g}", str(sum(each)), spread, *in_folds
        )
    Console().print(table)


def summary_of_dataset(data: Dataset, folds: Mapping[str, int]) -> dict[str, Any]:
    """What a training would learn from, as plain values: fold and picks of each run."""
    names = data.types.names
    runs = {}
    for run, found in data.runs.items():
        counts = np.bincount(found.truth.classes, minlength=len(names)).tolist()
        runs[run] = {"fold": folds.get(run), "picks": dict(zip(names, counts, strict=True))}
    return {"voxel_spacing": data.voxel_spacing, "runs": runs}


def _parts_of(
    counts: Mapping[str, NDArray[np.int64]], folds: Mapping[str, int], fold: int, index: int
) -> tuple[int, int]:
    """Picks of a class that a fold's networks learn from, and those that they are judged on."""
    inside = sum(int(c[index]) for n, c in counts.items() if folds.get(n) == fold)
    return sum(int(c[index]) for c in counts.values()) - inside, inside


def _spread(numbers: Sequence[int]) -> str:
    return f"{min(numbers)} to {max(numbers)}"


def print_fit(bundle: Bundle) -> None:
    """Out-of-fold F4 of each class, one stage against two, and the weighted score."""
    stages = {"one_stage": "one stage", "two_stage": "two stages"}
    table = Table(title="F4 out of fold, and the threshold it stands at")
    table.add_column("class")
    table.add_column("weight", justify="right")
    for stage in bundle.fits:
        table.add_column(stages[stage], justify="right")
        table.add_column("at", justify="right")
    if bundle.evidence:
        table.add_column("stage 2")
    for index, kind in enumerate(bundle.types):
        row = [kind.name, f"{kind.weight:g}"]
        for fit in bundle.fits.values():
            choice = fit.thresholds[index]
            row += [f"{choice.f:.3f}", f"{choice.threshold:.3f}"]
        if bundle.evidence:
            row.append("used" if bundle.evidence[kind.name]["stage2_used"] else "left out")
        table.add_row(*row)
    table.add_section()
    for label, key in (("all, optimistic", "optimistic"), ("all, nested", "nested")):
        row = [label, ""]
        for fit in bundle.fits.values():
            row += [f"{fit.f4[key]:.3f}", ""]
        table.add_row(*row, *([""] if bundle.evidence else []))
    Console().print(table)
    print("nested: each run cut with thresholds that were fitted without its fold")


def print_ceiling(ceiling: Ceiling, beta: float, reached: Sequence[float]) -> None:
    """What a second stage could reach over the candidates, per class and per candidate threshold.

    Parameters
    ----------
    ceiling
        Its first threshold admits every candidate.
    beta
    reached : (k,) floats
        F-beta of one stage.
    """
    recall = ceiling.recall()
    perfect = [ceiling.fbeta(beta, repaired) for repaired in (False, True)]
    runs = max(ceiling.n_runs, 1)
    table = Table(
        title="The most that a second stage could reach over these candidates",
        caption="repaired: with the class of every candidate put right",
    )
    table.add_column("candidates")
    for heading in ("a run", "recall", "one stage", "perfect", "repaired"):
        table.add_column(heading, justify="right")
    for i, kind in enumerate(ceiling.types):
        table.add_row(
            kind.name,
            f"{ceiling.candidates[0, i] / runs:.0f}",
            f"{recall[0, i]:.3f}",
            f"{reached[i]:.3f}",
            *(f"{f[0, i]:.3f}" for f in perfect),
        )
    table.add_section()
    weights = ceiling.types.weights
    for level, threshold in enumerate(ceiling.thresholds):
        table.add_row(
            f"all, {threshold:g} or more",
            f"{ceiling.candidates[level].sum() / runs:.0f}",
            f"{weighted_mean(recall[level], weights):.3f}",
            f"{weighted_mean(np.asarray(reached), weights):.3f}" if level == 0 else "",
            *(f"{weighted_mean(f[level], weights):.3f}" for f in perfect),
        )
    Console().print(table)


def print_counts(title: str, rows: Mapping[str, int]) -> None:
    """Names and numbers."""
    table = Table(title=title)
    table.add_column("class")
    table.add_column("picks", justify="right")
    for name, count in rows.items():
        table.add_row(name, str(count))
    Console().print(table)

"""Tables that commands print to stdout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.table import Table

from cryo_pick.pipeline.bundle import Bundle
from cryo_pick.pipeline.dataset import Dataset


def print_dataset(data: Dataset, folds: Mapping[str, int]) -> None:
    """Picks of each class in each run, with its fold and size."""
    table = Table(title=f"{len(data.runs)} runs at {data.voxel_spacing:.3f} Å per voxel")
    table.add_column("run")
    table.add_column("fold", justify="right")
    table.add_column("voxels z y x", justify="right")
    for name in data.types.names:
        table.add_column(name, justify="right")
    for name, run in data.runs.items():
        counts = np.bincount(run.truth.classes, minlength=len(data.types))
        shape = " ".join(map(str, run.tomogram.shape))
        table.add_row(name, str(folds.get(name, "-")), shape, *map(str, counts.tolist()))
    Console().print(table)


def print_fit(bundle: Bundle) -> None:
    """Out-of-fold F4 of each class, one stage against two, and the weighted score."""
    stages = {"one_stage": "one stage", "two_stage": "two stages"}
    table = Table(title="F4 out of fold, at the fitted thresholds")
    table.add_column("class")
    table.add_column("weight", justify="right")
    for stage in bundle.fits:
        table.add_column(stages[stage], justify="right")
        table.add_column("threshold", justify="right")
    if bundle.evidence:
        table.add_column("stage 2 used")
    for index, kind in enumerate(bundle.types):
        row = [kind.name, f"{kind.weight:g}"]
        for fit in bundle.fits.values():
            choice = fit.thresholds[index]
            row += [f"{choice.f:.3f}", f"{choice.threshold:.3f}"]
        if bundle.evidence:
            row.append("yes" if bundle.evidence[kind.name]["stage2_used"] else "no")
        table.add_row(*row)
    table.add_section()
    for label, key in (("weighted, optimistic", "optimistic"), ("weighted, nested", "nested")):
        row = [label, ""]
        for fit in bundle.fits.values():
            row += [f"{fit.f4[key]:.3f}", ""]
        table.add_row(*row, *([""] if bundle.evidence else []))
    Console().print(table)
    print("nested: each run cut with thresholds that were fitted without its fold")


def print_counts(title: str, rows: Mapping[str, int]) -> None:
    """Names and numbers."""
    table = Table(title=title)
    table.add_column("class")
    table.add_column("picks", justify="right")
    for name, count in rows.items():
        table.add_row(name, str(count))
    Console().print(table)

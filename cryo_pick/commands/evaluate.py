"""``cryo-pick evaluate PICKS TRUTH``: the official CZII score and one-to-one counts, per class.

A run of TRUTH counts if it holds a true pick of any class, as for the official scorer, whose truth
is a table with one row per particle. Picks in other runs, such as unlabelled ones, are ignored.
`data.runs` and `data.exclude_runs` say which of them to score.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.settings import DataSettings, FitSettings

if TYPE_CHECKING:
    from rich.table import Table

    from cryo_pick.config import Config
    from cryo_pick.picks import Picks
    from metrics.bootstrap import PairedBootstrap
    from metrics.evaluate import Evaluation

log = logging.getLogger(__name__)

PROJECT, CZII = "project", "czii"

SEED = 0
"""Of the resampling, so that the same picks always print the same interval."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "picks", metavar="PICKS", help=".csv, .star, copick project or a folder made by predict"
    )
    parser.add_argument("truth", metavar="TRUTH", help=".csv, .star or copick project")
    parser.add_argument(
        "--objects",
        default=PROJECT,
        metavar="NAME",
        help="whose radii and weights: czii, a copick project, or project: TRUTH's (default)",
    )
    parser.add_argument(
        "--against", metavar="B", help="other picks: the difference, with its interval over runs"
    )
    parser.add_argument("--user", metavar="ID", help="whose picks of a copick project PICKS or B")
    parser.add_argument("--truth-user", metavar="ID", help="whose picks of a copick project TRUTH")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Score PICKS against TRUTH and print the result to stdout.

    Raises
    ------
    ConfigError
        If nothing says the radii of the classes, or no class has a weight.
    InputError
        If a file can't be read, names an unknown class, or the truth is empty.
    """
    import numpy as np

    from metrics.bootstrap import paired_bootstrap
    from metrics.evaluate import evaluate

    fit = FitSettings() if config is None else config.fit
    data = DataSettings() if config is None else config.data
    truth, types = _read_truth(args.truth, args.objects, args.truth_user, data)
    picks = _read_picks(args.picks, types, args.user, truth)
    result = evaluate(picks, truth, types)
    output = result.to_json()
    other = paired = None
    if args.against is not None:
        b = _read_picks(args.against, types, args.user, truth)
        other = evaluate(b, truth, types)
        paired = paired_bootstrap(
            picks,
            b,
            truth,
            types,
            np.random.default_rng(SEED),
            n_resamplings=fit.bootstrap,
            confidence=fit.confidence,
        )
        output["against"] = against_json(other, paired, fit.confidence)
    if args.json:
        print(json.dumps(output, indent=2, allow_nan=False))
    else:
        _print_table(result, types, len(truth))
        if other is not None and paired is not None:
            _print_difference(other, paired, fit.confidence)
    return 0


def against_json(other: Evaluation, paired: PairedBootstrap, confidence: float) -> dict[str, Any]:
    """What ``--against`` adds: the score of B, and A minus B with its interval over runs."""
    rows = {
        name: {"difference": d.value, "interval": [d.low, d.high], "probability": d.probability}
        for name, d in [("", paired.score), *paired.per_class.items()]
    }
    return {
        "score": other.score,
        **rows.pop(""),
        "confidence": confidence,
        "per_class": rows,
    }


def _read_truth(
    path: str, objects: str, user: str | None, data: DataSettings
) -> tuple[dict[str, Picks], ParticleTypes]:
    """The truth of every chosen run that has some, and the classes it is scored in."""
    from cryo_pick.formats.choices import choose_runs
    from cryo_pick.formats.picks_file import read_picks

    found, types = read_picks(path, _types(objects), user_id=user)
    truth = {run: found[run] for run in choose_runs(list(found), data, path) if len(found[run])}
    if not truth:
        whose = f" of user {user}" if user else ""
        raise InputError(f"{path}: expected true picks{whose} to score against, but got none")
    if not types.weights.sum() > 0:
        raise ConfigError(
            f"{path}: every object has score weight 0, so there is no score; give one of them a "
            "score_weight above 0 in the project, or use --objects czii"
        )
    return truth, types


def _types(objects: str) -> ParticleTypes | None:
    """The classes that ``--objects`` names; None: those of the truth."""
    from cryo_pick.formats.copick import open_project

    if objects == PROJECT:
        return None
    if objects == CZII:
        return CZII_TYPES
    try:
        return open_project(objects).types
    except InputError as error:
        raise ConfigError(
            f"--objects {objects}: expected czii, project, or a copick project ({error})"
        ) from None


def _read_picks(
    path: str, types: ParticleTypes, user: str | None, truth: Mapping[str, Picks]
) -> dict[str, Picks]:
    """Picks by run; of a copick project this program's own, unless `user` says whose."""
    from cryo_pick.formats.copick import OWN_USER
    from cryo_pick.formats.picks_file import read_picks

    picks, _ = read_picks(path, types, user_id=user or OWN_USER)
    if user is None and not any(len(p) for p in picks.values()):
        picks, _ = read_picks(path, types)
    found = [run for run, p in picks.items() if len(p)]
    ignored = [run for run in found if run not in truth]
    if ignored:
        log.warning(
            "%s: ignored, as TRUTH has no picks in these runs, or they are not scored: %s",
            path,
            ", ".join(ignored),
        )
    missed = [run for run in truth if run not in found]
    if missed:
        log.warning("%s: no picks in these runs, all missed: %s", path, ", ".join(missed))
    return picks


def _print_table(result: Evaluation, types: ParticleTypes, n_runs: int) -> None:
    """The counts of both rules, one class a row, and a closing line."""
    from rich.table import Table

    table = Table(title="Official CZII counts, and one-to-one (1:1) counts")
    table.add_column("class")
    columns = ("weight", "TP", "FP", "FN", "precision", "recall", "F4")
    for column in (*columns, "1:1 TP", "1:1 FP", "1:1 FN", "1:1 F4"):
        table.add_column(column, justify="right", no_wrap=True)
    for particle in types:
        official = result.per_class[particle.name]
        single = result.one_to_one.per_class[particle.name]
        ratios = (official.precision, official.recall, official.fbeta())
        table.add_row(
            particle.name,
            f"{particle.weight:g}",
            *(str(n) for n in (official.tp, official.fp, official.fn)),
            *(f"{value:.4f}" for value in ratios),
            *(str(n) for n in (single.tp, single.fp, single.fn)),
            f"{single.fbeta():.4f}",
        )
    _print_whole(table)
    print(
        f"weighted F4 {result.score:.4f} (one-to-one {result.one_to_one.score:.4f}), "
        f"{n_runs} run{'s' if n_runs != 1 else ''}"
    )


def _print_whole(table: Table) -> None:
    """Print a table at its full width: a narrow terminal, or none, must not cut numbers off."""
    from rich.console import Console

    needed = Console(width=1000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)


def _print_difference(other: Evaluation, paired: PairedBootstrap, confidence: float) -> None:
    """A minus B, one class a row, and a closing line."""
    from rich.table import Table

    table = Table(title="A minus B, resampling runs")
    table.add_column("class")
    for column in ("difference of F4", f"{confidence:.0%} interval", "P(A > B)"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, d in paired.per_class.items():
        table.add_row(
            name, f"{d.value:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", f"{d.probability:.3f}"
        )
    _print_whole(table)
    d = paired.score
    print(
        f"B: weighted F4 {other.score:.4f}; A minus B {d.value:+.4f} "
        f"({confidence:.0%} interval {d.low:+.4f} to {d.high:+.4f}), P(A > B) {d.probability:.3f}"
    )

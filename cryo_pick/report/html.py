"""The report as one self-contained HTML file.

All numbers come from the metrics package; all text of a user is escaped by the template; the
page's security policy forbids it to load anything.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from cryo_pick import __version__
from cryo_pick.errors import CryoPickError
from cryo_pick.files import write_text_atomic
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report import tables
from cryo_pick.report.curves import (
    FRAME,
    Line,
    f_line,
    histogram,
    panel,
    precision_recall_line,
    span,
)
from cryo_pick.report.data import ReportData
from cryo_pick.report.gallery import Gallery, choose_examples, draw_gallery
from cryo_pick.report.headline import headline
from cryo_pick.report.orthoslices import OrthoSlices, ortho_slices
from cryo_pick.tomogram import Tomogram
from metrics.curves import ClassHits, hits_per_class

log = logging.getLogger(__name__)

OpenVolume = Callable[[str], Tomogram]


def write_report(path: str | Path, data: ReportData, open_volume: OpenVolume | None) -> None:
    """Write the report, whole or not at all.

    Parameters
    ----------
    path
        Of the HTML file.
    data
    open_volume
        From a run's name to its tomogram, for slices and gallery; its volume may be lazy. None, or
        a tomogram that can't be read, leaves the pictures out and says so.
    """
    write_text_atomic(path, render_report(data, open_volume))


def render_report(data: ReportData, open_volume: OpenVolume | None) -> str:
    """The report as a string; see :func:`write_report`."""
    slices, gallery, problem = _pictures(data, open_volume)
    hits = {s.key: hits_per_class(s.picks, data.truth, data.types) for s in data.stages}
    context: dict[str, Any] = {
        "data": data,
        "version": __version__,
        "f_name": f"F{data.beta:g}",
        "frame": FRAME,
        "headline": headline(data),
        "classes": _class_cards(data, hits),
        "colors": class_colors(data.types),
        "run_rows": tables.run_rows(data),
        "slices": slices,
        "gallery": gallery,
        "picture_problem": problem,
        "script_data": _script_data(data, hits),
    }
    if data.has_truth:
        context |= {
            "confusion": tables.confusion(data),
            "localization": tables.localization(data),
            "ceiling": tables.ceiling(data),
            "reliability": Markup(_reliability(data)),
        }
    return _environment().get_template("report.html.j2").render(context)


def class_colors(types: ParticleTypes) -> list[str]:
    """CSS colour of each class."""
    return ["rgb({} {} {})".format(*(int(c) for c in t.color[:3])) for t in types]


def pack(values: NDArray[np.float64]) -> str:
    """Numbers as base64 of little-endian float64, so that the page compares what Python did."""
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode("ascii")


def _class_cards(data: ReportData, hits: Mapping[str, list[ClassHits]]) -> list[dict[str, Any]]:
    """What the page shows of each class: its rows, its curves."""
    rows = tables.class_rows(data, hits) if data.has_truth else [[] for _ in data.types]
    top = tables.ceiling(data).fbeta(data.beta, repaired=True)[0] if data.has_truth else None
    cards = []
    for k, particle in enumerate(data.types):
        card: dict[str, Any] = {
            "type": particle,
            "rows": rows[k],
            "n_truth": sum(int((t.classes == k).sum()) for t in data.truth.values()),
            "n_kept": [
                sum(int((p.classes == k).sum()) for p in s.kept.values()) for s in data.stages
            ],
        }
        if top is not None:
            curves = [(s, hits[s.key][k].curve(), float(s.thresholds[k])) for s in data.stages]
            lines = [f_line(s.key, c, t, data.beta) for s, c, t in curves]
            card["curves"] = [
                Markup(panel("f", lines, "threshold", f"F{data.beta:g}")),
                Markup(
                    panel(
                        "pr",
                        [precision_recall_line(s.key, c, t) for s, c, t in curves],
                        "recall",
                        "precision",
                    )
                ),
            ]
            values = [row.official.fbeta(data.beta) for row in rows[k]]
            card["span"] = Markup(span(values, float(top[k])))
        else:
            card["curves"] = [
                Markup(histogram(_scores(s.picks, k), float(s.thresholds[k]), s.key))
                for s in data.stages
            ]
        cards.append(card)
    return cards


def _script_data(data: ReportData, hits: Mapping[str, list[ClassHits]]) -> dict[str, Any]:
    """What the sliders count with: every score, and the best score at each true particle."""
    classes = []
    for k, particle in enumerate(data.score_types):
        stages = {}
        for stage in data.stages:
            # Without truth there is nothing to pool by, so the scores are taken as they are.
            found = hits[stage.key][k]
            best = found.best[np.isfinite(found.best)]
            threshold = float(stage.thresholds[k])
            stages[stage.key] = {
                "scores": pack(found.scores),
                "best": pack(best),
                "threshold": threshold if math.isfinite(threshold) else None,
            }
        classes.append(
            {
                "name": particle.name,
                "weight": particle.weight,
                "truth": len(hits[data.stages[0].key][k].best),
                "stages": stages,
            }
        )
    return {"beta": data.beta, "known": data.has_truth, "classes": classes}


def _reliability(data: ReportData) -> str:
    lines = []
    for stage in data.stages:
        bins = tables.reliability(stage.picks, data.truth, data.types)
        x, y = ([b.mean_score for b in bins], [b.share_hit for b in bins])
        lines.append(Line(stage.key, np.array(x), np.array(y)))
    return panel("reliability", lines, "score", "share that is right", diagonal=True)


def _scores(picks_by_run: Mapping[str, Picks], k: int) -> NDArray[np.float64]:
    """All scores of one class."""
    return np.concatenate([p.scores[p.classes == k] for p in picks_by_run.values()] or [[]])


def _pictures(
    data: ReportData, open_volume: OpenVolume | None
) -> tuple[OrthoSlices | None, Gallery | None, str | None]:
    """Slices of the run with the most particles, the gallery, and what kept them away."""
    if open_volume is None or not data.runs:
        return None, None, None
    kept = data.stages[-1].kept
    result = max(data.runs, key=lambda r: (len(r.truth), len(kept[r.run])))
    try:
        tomogram = open_volume(result.run)
        slices = ortho_slices(tomogram, kept[result.run], result.truth, data.types, data.has_truth)
        return slices, draw_gallery(data, choose_examples(data), open_volume), None
    except (CryoPickError, OSError) as error:
        log.warning("the report has no pictures: %s", error)
        return None, None, str(error)


def _environment() -> Environment:
    """Template environment that escapes everything and refuses unknown names."""
    environment = Environment(
        loader=PackageLoader("cryo_pick.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda v: f"{v:.3f}"
    environment.filters["threshold"] = lambda v: f"{v:.3f}" if math.isfinite(v) else "∞"
    environment.filters["angstrom"] = lambda v: "–" if v is None else f"{v:.1f}"
    environment.filters["signed"] = lambda v: f"{v:+.3f}".replace("-", "−")
    environment.filters["duration"] = duration
    environment.filters["bytes"] = lambda v: f"{v / 2**30:.2f} GiB"
    return environment


def duration(seconds: float) -> str:
    """Seconds for a reader: `0.42 s`, `12.3 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

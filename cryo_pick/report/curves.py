"""Curves as small inline SVG drawings, coloured by the style sheet of the page.

Every panel has the same frame, `FRAME`, which the script of the page knows too: it moves the
marker of a panel when a slider moves. Nothing here holds text of a user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics import Counts, ThresholdCurve


@dataclass(frozen=True)
class Frame:
    """The drawing area of a panel, in its own units: both axes run from 0 to 1."""

    width: float = 320.0
    height: float = 224.0
    left: float = 44.0
    top: float = 10.0
    right: float = 310.0
    bottom: float = 188.0

    def x(self, value: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Place of a value along the horizontal axis."""
        return self.left + np.clip(value, 0.0, 1.0) * (self.right - self.left)

    def y(self, value: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Place of a value along the vertical axis."""
        return self.bottom - np.clip(value, 0.0, 1.0) * (self.bottom - self.top)


FRAME = Frame()
SHORTEST_STEP = 0.35
"""A curve point nearer than this to the one before, in panel units, is not drawn."""


@dataclass(frozen=True)
class Line:
    """A curve of one stage, with its marked point.

    Attributes
    ----------
    stage
        `one` or `two`: its colour, and the name of its marker.
    x, y : (n,) float64 arrays in [0, 1]
    mark
        Where the chosen threshold lies; None for no mark.
    """

    stage: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mark: tuple[float, float] | None = None


def f_line(stage: str, curve: ThresholdCurve, threshold: float, beta: float) -> Line:
    """F-beta against the threshold: a staircase, constant between two neighbouring scores."""
    scores, f = curve.thresholds[::-1], curve.fbeta(beta)[::-1]
    x = np.concatenate([[0.0], np.repeat(scores, 2), [1.0]])
    y = np.concatenate([np.repeat(f, 2), [0.0, 0.0]])
    mark = (min(threshold, 1.0), curve.at(threshold).fbeta(beta))
    return Line(stage, x, y, mark)


def precision_recall_line(stage: str, curve: ThresholdCurve, threshold: float) -> Line:
    """Precision against recall, from the highest threshold to the lowest."""
    counts = curve.at(threshold)
    mark = (counts.recall, counts.precision)
    return Line(stage, curve.recall, curve.precision, None if counts == Counts() else mark)


def panel(
    kind: str, lines: Sequence[Line], x_label: str, y_label: str, diagonal: bool = False
) -> str:
    """One panel with both axes from 0 to 1, as SVG.

    Parameters
    ----------
    kind
        `f`, `pr` or `reliability`; the script finds markers by it.
    lines
        Drawn in order, the last on top.
    x_label, y_label
        Plain text of this program, not of a user.
    diagonal
        Whether the line y = x is drawn, as in a reliability diagram.
    """
    parts = [_open(kind, x_label, y_label)]
    if diagonal:
        parts.append(_segment("guide", (0.0, 0.0), (1.0, 1.0)))
    for line in lines:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in thinned(line.x, line.y))
        parts.append(f'<polyline class="line {line.stage}" points="{points}"/>')
        if kind == "reliability":
            parts += [_dot(line.stage, x, y) for x, y in zip(line.x, line.y, strict=True)]
    for line in lines:
        if line.mark is None:
            continue
        if kind == "f":
            x = float(FRAME.x(line.mark[0]))
            parts.append(
                f'<line class="cut {line.stage}" x1="{x:.2f}" x2="{x:.2f}" '
                f'y1="{FRAME.top}" y2="{FRAME.bottom}"/>'
            )
        parts.append(_dot(f"mark {line.stage}", *line.mark))
    parts.append("</svg>")
    return "".join(parts)


def histogram(scores: NDArray[np.float64], threshold: float, stage: str, n_bins: int = 50) -> str:
    """How many picks have which score, as SVG; the vertical axis is the square root of the count.

    Parameters
    ----------
    scores : (n,) float array in [0, 1]
    threshold
    stage
        `one` or `two`: its colour.
    """
    counts, edges = np.histogram(np.clip(scores, 0, 1), bins=n_bins, range=(0.0, 1.0))
    top = max(int(counts.max()), 1)
    parts = [_open("histogram", "score", "picks", ticks_y=((0.0, "0"), (1.0, f"{top:,}")))]
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x0, x1 = float(FRAME.x(low)), float(FRAME.x(high))
            y = float(FRAME.y(np.sqrt(count / top)))
            parts.append(
                f'<rect class="bar {stage}" x="{x0 + 0.4:.2f}" y="{y:.2f}" '
                f'width="{x1 - x0 - 0.8:.2f}" height="{FRAME.bottom - y:.2f}"/>'
            )
    x = float(FRAME.x(min(threshold, 1.0)))
    parts.append(
        f'<line class="cut {stage}" x1="{x:.2f}" x2="{x:.2f}" y1="{FRAME.top}" '
        f'y2="{FRAME.bottom}"/></svg>'
    )
    return "".join(parts)


def thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a curve in panel units, without those that no eye could tell apart.

    Returns
    -------
    (m, 2) float64 array
        Its first and last points are those of the curve.
    """
    points = np.stack([FRAME.x(x), FRAME.y(y)], axis=1)
    if len(points) < 3:
        return points
    # Walking along the curve, a point is kept when it is a step away from the last one kept.
    kept, last_x, last_y = [0], float(points[0, 0]), float(points[0, 1])
    for i, (px, py) in enumerate(points.tolist()):
        if abs(px - last_x) >= SHORTEST_STEP or abs(py - last_y) >= SHORTEST_STEP:
            kept.append(i)
            last_x, last_y = px, py
    return points[[*kept, len(points) - 1]]


def _open(
    kind: str,
    x_label: str,
    y_label: str,
    ticks_y: Sequence[tuple[float, str]] = ((0.0, "0"), (0.5, "0.5"), (1.0, "1")),
) -> str:
    """The start of a panel: frame, grid, ticks and labels."""
    f = FRAME
    parts = [
        f'<svg class="panel" data-kind="{kind}" viewBox="0 0 {f.width:g} {f.height:g}" role="img" '
        f'aria-label="{y_label} against {x_label}">'
    ]
    for value, text in ticks_y:
        y = float(f.y(value))
        parts.append(_segment("grid", (0.0, value), (1.0, value)))
        parts.append(f'<text class="tick" x="{f.left - 6}" y="{y + 3.5:.1f}">{text}</text>')
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = float(f.x(value))
        parts.append(
            f'<text class="tick x" x="{x:.1f}" y="{f.bottom + 15}">{value:g}</text>'
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{f.bottom}" y2="{f.bottom + 3}"/>'
        )
    middle = (f.left + f.right) / 2
    parts.append(f'<text class="label" x="{middle}" y="{f.height - 6}">{x_label}</text>')
    across = (f.top + f.bottom) / 2
    parts.append(
        f'<text class="label" transform="translate(10 {across}) rotate(-90)">{y_label}</text>'
    )
    return "".join(parts)


def _segment(name: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = ((float(FRAME.x(x)), float(FRAME.y(y))) for x, y in (start, end))
    return f'<line class="{name}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _dot(name: str, x: float, y: float) -> str:
    return (
        f'<circle class="dot {name}" cx="{float(FRAME.x(x)):.2f}" '
        f'cy="{float(FRAME.y(y)):.2f}" r="3.6"/>'
    )


def span(values: Sequence[float], top: float) -> str:
    """F-beta of each stage and of a perfect re-scorer on a line from 0 to 1, as SVG.

    Parameters
    ----------
    values
        Of one stage, or of the first and the second.
    top
        Of a perfect re-scorer; drawn as a tick.
    """
    places = [4 + 332 * min(max(v, 0.0), 1.0) for v in (*values, top)]
    *dots, tick = places
    parts = [
        '<svg class="span" viewBox="0 0 340 18" role="img" aria-hidden="true">'
        '<line class="grid" x1="4" x2="336" y1="9" y2="9"/>'
        f'<line class="ceiling" x1="{tick:.1f}" x2="{tick:.1f}" y1="3" y2="15"/>'
    ]
    if len(dots) == 2:
        parts.append(
            f'<line class="line two" x1="{dots[0]:.1f}" x2="{dots[1]:.1f}" y1="9" y2="9"/>'
        )
    parts += [
        f'<circle class="dot {stage}" cx="{x:.1f}" cy="9" r="4.2"/>'
        for stage, x in zip(("one", "two"), dots, strict=False)
    ]
    return "".join(parts) + "</svg>"

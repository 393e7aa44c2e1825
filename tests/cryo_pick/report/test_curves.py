import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cryo_pick.report import ReportData
from cryo_pick.report.curves import (
    FRAME,
    f_line,
    histogram,
    panel,
    precision_recall_line,
    span,
    thinned,
)
from metrics.curves import ThresholdCurve, hits_per_class


@pytest.fixture
def curve(data: ReportData) -> ThresholdCurve:
    return hits_per_class(data.stages[0].picks, data.truth, data.types)[0].curve()


def test_the_f_line_is_the_staircase_of_the_curve(curve: ThresholdCurve) -> None:
    line = f_line("one", curve, 0.45, 4.0)
    for t in (0.0, 0.1234, 0.45, 0.6, 0.99):
        # Of the points at one x, the last before a step and the first after it both stand there.
        i = int(np.searchsorted(line.x, t, side="left"))
        assert line.y[i] == curve.at(t).fbeta(4.0)
    assert line.mark == (0.45, curve.at(0.45).fbeta(4.0))
    assert (line.x[0], line.x[-1]) == (0.0, 1.0)


def test_a_threshold_that_keeps_nothing_is_marked_at_the_right_edge(curve: ThresholdCurve) -> None:
    assert f_line("one", curve, np.inf, 4.0).mark == (1.0, 0.0)
    assert precision_recall_line("one", curve, np.inf).mark == (0.0, 0.0)


def test_panels_are_well_formed_and_mark_the_threshold(curve: ThresholdCurve) -> None:
    lines = [f_line(s, curve, 0.45, 4.0) for s in ("one", "two")]
    svg = ElementTree.fromstring(panel("f", lines, "threshold", "F4"))
    cuts = [e for e in svg.iter("line") if "cut" in e.get("class", "").split()]
    assert [float(e.get("x1", "")) for e in cuts] == [round(float(FRAME.x(0.45)), 2)] * 2
    marks = [e for e in svg.iter("circle") if "mark" in e.get("class", "").split()]
    assert [e.get("class") for e in marks] == ["dot mark one", "dot mark two"]


def test_an_empty_curve_draws() -> None:
    empty = np.empty(0)
    curve = ThresholdCurve(empty, *(np.empty(0, np.int64) for _ in range(3)), 0)
    lines = [f_line("one", curve, np.inf, 4.0), precision_recall_line("one", curve, np.inf)]
    for line in lines:
        ElementTree.fromstring(panel("pr", [line], "x", "y"))
    assert lines[1].x.size == 0


def test_thinning_keeps_ends_and_shape() -> None:
    x = np.linspace(0, 1, 100_000)
    y = 0.5 + 0.4 * np.sin(9 * x)
    points = thinned(x, y)
    assert len(points) < 2500
    assert np.allclose(points[0], [FRAME.x(x[0]), FRAME.y(y[0])])
    assert np.allclose(points[-1], [FRAME.x(x[-1]), FRAME.y(y[-1])])
    drawn = np.interp(FRAME.x(x), points[:, 0], points[:, 1])
    assert np.abs(drawn - FRAME.y(y)).max() < 1.0  # panel units; a line is 1.8 wide


def test_the_histogram_holds_every_score() -> None:
    scores = np.array([0.01, 0.011, 0.5, 1.0])
    svg = histogram(scores, 0.5, "two")
    bars = ElementTree.fromstring(svg).findall("rect")
    assert len(bars) == 3
    heights = [float(b.get("height", "")) for b in bars]
    assert heights[0] == pytest.approx(heights[1] * 2**0.5, abs=0.02)
    assert re.search(r">2</text>", svg)
    ElementTree.fromstring(histogram(np.empty(0), np.inf, "one"))


def test_the_span_has_a_dot_per_stage_and_the_ceiling() -> None:
    two = ElementTree.fromstring(span([0.5, 0.75], 1.0))
    assert [float(c.get("cx", "")) for c in two.iter("circle")] == [170.0, 253.0]
    assert len(list(ElementTree.fromstring(span([0.5], 1.0)).iter("circle"))) == 1

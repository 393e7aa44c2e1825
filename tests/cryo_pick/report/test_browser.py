"""The page in a real browser: the sliders count what the metrics package counts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from cryo_pick.report import ReportData, write_report
from metrics import evaluate
from metrics.counts import Counts
from metrics.curves import hits_per_class
from metrics.matching import count_official, match_radii
from metrics.thresholds import cut

BROWSER = next(
    (b for n in ("chromium", "chromium-browser", "google-chrome") if (b := shutil.which(n))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")


def load(page: Path, fragment: str, profile: Path) -> str:
    """The page as it stands after its script ran."""
    assert BROWSER is not None
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=2000",
            "--dump-dom", f"{page.as_uri()}{fragment}",
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def outputs(dom: str, stage: str) -> list[dict[str, str]]:
    """What the page shows for each class of a stage."""
    cards = dom.split('<article class="card"')[1:]
    found = [dict(re.findall(rf'data-out="{stage}-(\w+)">([^<]*)<', card)) for card in cards]
    assert found
    return found


def official(data: ReportData, stage: int, thresholds: list[float]) -> list[Counts]:
    """Counts from the picks themselves, without any curve."""
    totals = []
    for k, radius in enumerate(match_radii(data.types).tolist()):
        total = Counts()
        for run, truth in data.truth.items():
            kept = cut(data.stages[stage].picks[run], thresholds).of_class(k)
            total += count_official(kept.positions, truth.of_class(k).positions, radius)
        totals.append(total)
    return totals


def check(shown: list[dict[str, str]], expected: list[Counts]) -> None:
    for values, counts in zip(shown, expected, strict=True):
        assert [values[k] for k in ("tp", "fp", "fn")] == [
            str(n) for n in (counts.tp, counts.fp, counts.fn)
        ]
        assert values["picks"] == str(counts.tp + counts.fp)
        ratios = (counts.precision, counts.recall, counts.fbeta())
        for key, ratio in zip(("precision", "recall", "f"), ratios, strict=True):
            assert abs(float(values[key]) - ratio) <= 0.0005 + 1e-12


def test_sliders_count_what_the_metrics_count(tmp_path: Path, data: ReportData) -> None:
    page = tmp_path / "report.html"
    write_report(page, data, None)
    dom = load(page, "", tmp_path / "profile")
    for s, stage in enumerate(data.stages):
        check(outputs(dom, stage.key), official(data, s, stage.thresholds.tolist()))
        score = evaluate(stage.kept, data.truth, data.types).score
        shown = re.search(rf'data-score="{stage.key}">([\d.]+)<', dom)
        assert shown
        assert abs(float(shown[1]) - score) <= 0.0005 + 1e-12

    # One threshold that is a score, which is kept, and others between two scores.
    a_score = float(hits_per_class(data.stages[1].picks, data.truth, data.types)[0].scores[20])
    moved = {"one": [0.3, 0.6180339], "two": [a_score, 0.25]}
    parts = [
        f"t={stage}/{quote(name, safe='')}/{t!r}"
        for stage, thresholds in moved.items()
        for name, t in zip(data.types.names, thresholds, strict=True)
    ]
    dom = load(page, "#" + "&".join(parts), tmp_path / "profile")
    for s, stage in enumerate(data.stages):
        expected = official(data, s, moved[stage.key])
        check(outputs(dom, stage.key), expected)
        curves = hits_per_class(stage.picks, data.truth, data.types)
        at = [c.curve().at(t) for c, t in zip(curves, moved[stage.key], strict=True)]
        assert at == expected

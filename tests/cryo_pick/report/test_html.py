import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.report import ReportData, headline, write_report
from cryo_pick.report.html import duration, render_report
from cryo_pick.tomogram import Tomogram
from metrics.curves import hits_per_class

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Checker(HTMLParser):
    """Every tag is closed in order; collects sections, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "section":
            self.sections.add(values.get("id") or "")
        self.links += [v for k in ("src", "href") if (v := values.get(k))]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v for k in ("src", "href") if (v := dict(attrs).get(k))]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        self.text.append(text)


@pytest.fixture(scope="module")
def page(data: ReportData, tomograms: dict[str, Tomogram]) -> str:
    return render_report(data, tomograms.__getitem__)


def embedded(page: str) -> dict:
    match = re.search(r'<script type="application/json" id="scores">(.*?)</script>', page)
    assert match
    return json.loads(match[1])


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    checked = Checker(page)
    assert {"classes", "thresholds", "runs", "errors", "ceiling", "slices", "gallery", "time",
            "provenance"} <= checked.sections  # fmt: skip
    assert all(link.startswith(("data:image/png", "#")) for link in checked.links)
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|url\(|@import", page)


def test_every_anchor_leads_somewhere(page: str) -> None:
    targets = re.findall(r'href="#([a-z]+)"', page)
    assert targets
    assert all(f'id="{t}"' in page for t in targets)


def test_the_numbers_are_those_of_the_metrics(page: str, data: ReportData) -> None:
    text = " ".join("".join(Checker(page).text).split())
    found = headline(data)
    assert found is not None
    for score in found.stages:
        assert f"{score.label}, weighted F4 {score.score:.3f}" in text
    assert "Nested" in text


def test_the_sliders_have_every_score(page: str, data: ReportData) -> None:
    scores = embedded(page)
    for stage in data.stages:
        hits = hits_per_class(stage.picks, data.truth, data.types)
        for k, particle in enumerate(scores["classes"]):
            packed = particle["stages"][stage.key]
            unpacked = np.frombuffer(base64.b64decode(packed["scores"]), "<f8")
            assert np.array_equal(unpacked, hits[k].scores)
            best = np.frombuffer(base64.b64decode(packed["best"]), "<f8")
            assert np.array_equal(best, hits[k].best[np.isfinite(hits[k].best)])
            assert packed["threshold"] == stage.thresholds[k]
            assert particle["truth"] == len(hits[k].best)


def test_what_a_user_wrote_is_escaped(data: ReportData, tomograms: dict[str, Tomogram]) -> None:
    evil = "<img src=x onerror=alert(1)>&'\""
    types = ParticleTypes((ParticleType(evil, 1, 60.0), ParticleType("</script>".replace("/", ""),
                                                                     2, 80.0)))  # fmt: skip
    runs = tuple(dataclasses.replace(r, run=evil + r.run) for r in data.runs)
    evil_data = dataclasses.replace(
        data, title=evil, types=types, runs=runs, folds=None, notes=(evil,),
        provenance={evil: evil}, timings={evil: 1.0},
    )  # fmt: skip
    by_run = {r.run: tomograms[o.run] for r, o in zip(runs, data.runs, strict=True)}
    page = render_report(evil_data, by_run.__getitem__)
    assert "<img src=x" not in page
    assert page.count("<script") == 3  # two of data, one that runs: no name made another
    Checker(page)


def test_it_tells_what_each_step_took(data: ReportData) -> None:
    page = render_report(data, None)
    time = page[page.index('id="time"') :]
    rows = re.findall(r"<tr.*?</tr>", time, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in rows]
    assert ["detector", "1 min 15 s", "", "3.00 GiB"] in cells
    assert ["fit", "1.25 s", "", "–"] in cells
    assert "GiB" not in render_report(dataclasses.replace(data, memory={}), None)


def test_each_run_has_intervals_by_class(data: ReportData) -> None:
    page = render_report(data, None)
    table = page[page.index("By run and class") : page.index('id="errors"')]
    n_ratios = 3 * len(data.runs) * len(data.types)
    assert len(re.findall(r'\d\.\d{3}<span class="between">\d\.\d\d–\d\.\d\d<', table)) == n_ratios


def test_one_stage_alone(one_stage_data: ReportData) -> None:
    page = render_report(one_stage_data, None)
    checked = Checker(page)
    assert "Two stages" not in page
    assert not {"slices", "gallery"} & checked.sections
    assert "Gain of the second stage" not in page


def test_without_truth_there_are_counts_histograms_and_slices(
    unknown_data: ReportData, tomograms: dict[str, Tomogram]
) -> None:
    page = render_report(unknown_data, tomograms.__getitem__)
    checked = Checker(page)
    assert {"thresholds", "runs", "slices", "gallery"} <= checked.sections
    assert not {"classes", "errors", "ceiling"} & checked.sections
    assert page.count('data-kind="histogram"') == 4
    scores = embedded(page)
    n = sum((r.one_stage.classes == 0).sum() for r in unknown_data.runs)
    packed = base64.b64decode(scores["classes"][0]["stages"]["one"]["scores"])
    assert len(packed) == 8 * n


def test_thresholds_that_keep_nothing_are_shown(data: ReportData) -> None:
    page = render_report(dataclasses.replace(data, thresholds_two=np.array([np.inf, 0.4])), None)
    assert "∞" in page
    assert embedded(page)["classes"][0]["stages"]["two"]["threshold"] is None


def test_a_report_of_nothing_is_a_page(data: ReportData) -> None:
    empty = dataclasses.replace(data, runs=(), folds=None)
    checked = Checker(render_report(empty, lambda run: 1 / 0))
    assert {"thresholds", "runs"} <= checked.sections
    assert not {"classes", "slices", "gallery"} & checked.sections
    assert "no known particles" in " ".join("".join(checked.text).split())


def test_a_tomogram_that_cannot_be_read_leaves_the_numbers(
    data: ReportData, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(run: str) -> Tomogram:
        raise InputError(f"{run}: chunk 0.0.0 is truncated")

    page = render_report(data, broken)
    assert "chunk 0.0.0 is truncated" in page
    assert "Weighted F4" in page
    assert "no pictures" in caplog.text


def test_the_file_is_written(tmp_path: Path, one_stage_data: ReportData) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, one_stage_data, None)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.416, "0.42 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"), (185, "3 min 05 s"),
     (3720, "1 h 02 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

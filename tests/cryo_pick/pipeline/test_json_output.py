"""`--json` prints one JSON object, and nothing else, on stdout; a pipe gets no colours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from urllib.parse import quote

import pytest

from cryo_pick.cli import main
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.picks_file import read_picks
from tests.cryo_pick.report.test_browser import BROWSER, load, outputs


@pytest.fixture(scope="module")
def predicted(project, bundle, tmp_path_factory):
    out = tmp_path_factory.mktemp("json") / "out"
    words = ["predict", str(project), "--model", str(bundle), "--out", str(out)]
    assert main([*words, "infer.engine=torch", "data.runs=[SIM-0000]"]) == 0
    return out


def test_threshold(predicted, project, tmp_path, capsys):
    file = tmp_path / "picks.csv"
    assert main(["threshold", str(predicted), "--out", str(file), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    picks, types = read_picks(file, open_project(project).types)
    counts = {
        t.name: sum(int((p.classes == k).sum()) for p in picks.values())
        for k, t in enumerate(types)
    }
    assert found == {"file": str(file), "runs": 1, "picks": counts}


def test_report(bundle, tmp_path, capsys):
    file = tmp_path / "report.html"
    assert main(["report", str(bundle), "--out", str(file), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(file)
    assert [s["key"] for s in found["scores"]["stages"]] == ["one", "two"]
    assert all(0 <= s["low"] <= s["high"] <= 1 for s in found["scores"]["stages"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
def test_the_sliders_of_a_report_count_what_threshold_keeps(bundle, project, tmp_path):
    """The same candidates, cut in the page and by the command."""
    report = tmp_path / "report.html"
    assert main(["report", str(bundle), "--out", str(report)]) == 0
    folder = tmp_path / "cut"
    for file in (bundle / "oof").glob("*.npz"):
        (folder / "runs" / file.stem).mkdir(parents=True)
        shutil.copy(file, folder / "runs" / file.stem / "candidates.npz")
    shutil.copy(bundle / "bundle.json", folder)
    types = open_project(project).types
    level = {n: round(0.1 + 0.07 * k, 3) for k, n in enumerate(types.names)}
    words = [w for n, t in level.items() for w in ("--set", f"{n}={t}")]
    assert main(["threshold", str(folder), "--out", str(tmp_path / "p.csv"), *words]) == 0
    picks, _ = read_picks(tmp_path / "p.csv", types)
    fragment = "#" + "&".join(f"t=two/{quote(n, safe='')}/{t}" for n, t in level.items())
    shown = outputs(load(report, fragment, tmp_path / "profile"), "two")
    assert [int(card["picks"]) for card in shown] == [
        sum(int((p.classes == k).sum()) for p in picks.values()) for k in range(len(types))
    ]


def test_a_pipe_gets_no_colours():
    done = subprocess.run(
        [sys.executable, "-c", "from cryo_pick.cli import main; main(['doctor'])"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr

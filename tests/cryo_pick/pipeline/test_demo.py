"""The demo runs to its end on a tiny simulation and leaves what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryo_pick.cli import main
from cryo_pick.pipeline import demo
from tests.cryo_pick.pipeline.conftest import SMOKE


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "SIZE", (48, 112, 112))
    monkeypatch.setattr(demo, "CROWDING", 40.0)
    out = tmp_path / "demo"
    assert main(["demo", str(out), *SMOKE]) == 0
    shown = capsys.readouterr().out
    assert "weighted F4" in shown
    for path in ("bundle/report.html", "bundle/bundle.json", "picks.png"):
        assert (out / path).is_file(), path
        assert path in shown or path.endswith("json")

"""`cryo-pick report` writes what it is given and prints the headline; loading has its own tests."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline import results
from cryo_pick.report import ReportData, RunResult

TYPES = ParticleTypes((ParticleType("a", 1, 40.0),))


def perfect(run: str) -> RunResult:
    truth = Picks(np.array([[100.0, 100.0, x] for x in (100.0, 300.0, 500.0)]), np.zeros(3))
    one = Picks(truth.positions[:2], truth.classes[:2], np.array([0.9, 0.8]))
    return RunResult(run, truth, one, Picks(truth.positions, truth.classes, np.full(3, 0.7)))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were asked for; each holds two runs, perfect with two stages."""
    asked: list[Path] = []
    half = np.array([0.5])
    runs = (perfect("R1"), perfect("R2"))
    data = ReportData("t", TYPES, runs, half, half, folds={"R1": 0, "R2": 1})

    def load(folder: Path) -> tuple[ReportData, None]:
        asked.append(folder)
        return dataclasses.replace(data, title=folder.name), None

    monkeypatch.setattr(results, "load_report_data", load)
    return asked


def test_it_writes_into_the_folder(
    tmp_path: Path, loaded: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 0
    assert loaded == [tmp_path]
    assert "<!DOCTYPE html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    out = capsys.readouterr().out
    f_one = 17 * 2 / (17 * 2 + 16 * 1)
    assert f"one stage: weighted F4 {f_one:.4f}" in out
    assert "two stages: weighted F4 1.0000" in out
    assert f"two stages minus one: {1 - f_one:+.4f}" in out
    assert out.endswith(f"report: {tmp_path / 'report.html'}\n")


def test_it_writes_where_it_is_told(tmp_path: Path, loaded: list[Path]) -> None:
    path = tmp_path / "elsewhere" / "r.html"
    assert main(["report", str(tmp_path), "--out", str(path)]) == 0
    assert path.is_file()
    assert not (tmp_path / "report.html").exists()


def test_a_folder_is_no_file(
    tmp_path: Path, loaded: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "this is a folder" in capsys.readouterr().err
    assert loaded == []

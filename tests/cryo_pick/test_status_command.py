"""`cryo-pick status` reads the state of every run from the files of a folder."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.cli import main
from cryo_pick.formats.candidates_npz import write_candidates
from cryo_pick.locks import Holder, Locks
from cryo_pick.pipeline.ledger import LOCK, run_folder, write_failure, write_plan
from cryo_pick.pipeline.one_run import Failure


def _done(folder: Path, run: str, key: str) -> None:
    empty = Candidates(np.zeros((0, 3)), np.zeros((0, 1), np.float32))
    path = run_folder(folder, run) / "candidates.npz"
    write_candidates(path, empty, ["a"], {"key": key, "seconds": 3.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One run in each state, and two in two kinds of stale."""
    out = tmp_path / "out"
    write_plan(out, ["todo", "good", "bad", "busy", "old", "left"], "now")
    _done(out, "good", "now:content")
    _done(out, "old", "before:content")
    write_failure(run_folder(out, "bad"), Failure("bad", "chunk 0.0.0 is [cut] short"))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = replace(Holder.this_process(), pid=process.pid)
    run_folder(out, "left").mkdir()
    (run_folder(out, "left") / LOCK).write_text(json.dumps(asdict(gone)))
    _done(out, "extra", "now:content")  # of an earlier command on other inputs
    return out


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_folder(folder, "busy").mkdir()
    with Locks(folder / "runs") as locks:
        assert locks.take(run_folder(folder, "busy") / LOCK)
        assert main(["status", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"] == {"done": 2, "running": 1, "failed": 1, "stale": 2, "waiting": 1}
    assert {run: s["state"] for run, s in said["runs"].items()} == {
        "todo": "waiting", "good": "done", "bad": "failed", "busy": "running", "old": "stale",
        "left": "stale", "extra": "done",
    }  # fmt: skip
    assert list(said["runs"])[:3] == ["todo", "good", "bad"]
    assert said["runs"]["bad"]["detail"] == "chunk 0.0.0 is [cut] short"
    assert f"process {os.getpid()}" in said["runs"]["busy"]["detail"]


def test_as_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.endswith("2 done, 0 running, 1 failed, 2 stale, 2 waiting\n")
    assert "chunk 0.0.0 is [cut] short" in said
    assert "good" not in said


def test_a_damaged_result_is_stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_folder(folder, "good") / "candidates.npz"
    path.write_bytes(path.read_bytes()[:50])
    main(["status", str(folder), "--json"])
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert runs["good"]["state"] == "stale"
    assert "damaged" in runs["good"]["detail"]


def test_a_file_name_stands_for_its_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.rename(tmp_path / "picks.predict")
    assert main(["status", str(tmp_path / "picks.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["done"] == 2


def test_another_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 3
    assert "plan.json" in capsys.readouterr().err

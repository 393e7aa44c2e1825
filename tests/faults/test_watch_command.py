"""`predict --watch` takes what appears while it runs."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from cryo_pick.cli import main
from tests.faults.conftest import Starter, done, leftovers, picks, words


def test_new_tomograms_are_picked_as_they_come(
    few: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out, expected = tmp_path / "out", tmp_path / "expected"
    assert main(words(few, tiny_bundle, expected)) == 0
    late = few / "run002.mrc"
    late.rename(tmp_path / "kept.mrc")

    def come_later() -> None:
        while len(done(out)) < 2:
            time.sleep(0.05)
        shutil.copy(tmp_path / "kept.mrc", late)

    thread = threading.Thread(target=come_later)
    thread.start()
    assert main(words(few, tiny_bundle, out, "--watch", "--until-idle", "0.03")) == 0
    thread.join()
    assert picks(out) == picks(expected)
    assert list(json.loads((out / "summary.json").read_text())["runs"]) == [
        f"run00{i}" for i in range(3)
    ]


def test_watching_an_empty_folder_ends_when_interrupted(
    tiny_bundle: Path, tmp_path: Path, start: Starter
) -> None:
    (tmp_path / "empty").mkdir()
    process = start(words(tmp_path / "empty", tiny_bundle, tmp_path / "out", "--watch"))
    said = tmp_path / "said0.txt"
    end = time.monotonic() + 60
    while "nothing to predict" not in said.read_text():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert leftovers(tmp_path / "out") == []


@pytest.mark.parametrize("flags", [["--until-idle", "5"], ["--watch", "--until-idle", "0"]])
def test_until_idle_wants_watch_and_a_time(
    flags: list[str], few: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    assert main(words(few, tiny_bundle, tmp_path / "out", *flags)) == 2
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_not_there_is_not_waited_for(tiny_bundle: Path, tmp_path: Path) -> None:
    assert main(words(tmp_path / "nowhere", tiny_bundle, tmp_path / "out", "--watch")) == 3
    assert not (tmp_path / "out").exists()

"""A search: it goes on where it was cut off, and its best trial comes back from its file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import yaml

from cryo_pick.cli import main
from cryo_pick.errors import ConfigError
from cryo_pick.locks import Locks
from cryo_pick.pipeline.tune import TuneJob, alone_in, open_study, requeue_lost, run_trials, suggest
from detector.cli import main as detector
from tests.cryo_pick.pipeline.conftest import SMOKE

optuna = pytest.importorskip("optuna", reason="extra sweep is not installed")

FAST = [
    *(f"tune.space.{key}=null" for key in ("model", "loss", "target", "augment", "train")),
    "tune.space.seed=[1,2,3]",
    "train.optimizer.steps=2",
    "model.params.channels=[8,8,8]",
]


@pytest.fixture(scope="module")
def search(_simulated: Path, _cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trials by two processes."""
    out = tmp_path_factory.mktemp("tuned") / "search"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(_cache))
        words = ["tune", str(_simulated), "--out", str(out), "--trials", "3", "--workers", "2"]
        assert main([*words, *SMOKE, *FAST]) == 0
    return out


def test_the_best_trial_comes_back_from_its_file(search: Path, tmp_path: Path) -> None:
    summary = json.loads((search / "summary.json").read_text())
    done = [t for t in summary["trials"] if t["state"] in ("complete", "pruned")]
    assert len(done) >= 3
    assert summary["f4"] == max(t["f4"] for t in done if t["f4"] is not None)
    study = open_study(search, 0, prune=True)
    best = search / "trials" / study.best_trial.user_attrs["folder"]
    words = ["train", "--config", str(search / "best.yaml"), "--out", str(tmp_path / "again")]
    assert detector(words) == 0
    again = tmp_path / "again" / "detector.safetensors"
    assert again.read_bytes() == (best / "detector.safetensors").read_bytes()
    assert yaml.safe_load((search / "best.yaml").read_text())["train"]["fold"] == 0


def test_asked_again_it_only_adds_what_is_missing(search: Path, project: Path) -> None:
    before = len(open_study(search, 0, prune=True).trials)
    words = ["tune", str(project), "--out", str(search), "--trials", "3", *SMOKE, *FAST]
    assert main(words) == 0
    assert len(open_study(search, 0, prune=True).trials) == before


def test_a_trial_that_was_cut_off_is_done_again_once(project: Path, tmp_path: Path) -> None:
    study = open_study(tmp_path, 0, prune=True)
    trial = study.ask()
    suggest(trial, {"seed": [7, 8]})  # and the process is killed here
    job = TuneJob((f"data={project}", *SMOKE, *FAST, "tune.trials=1"), None, tmp_path)
    for _ in range(2):
        requeue_lost(open_study(tmp_path, 0, prune=True))
    states = [t.state.name for t in open_study(tmp_path, 0, prune=True).trials]
    assert states == ["FAIL", "WAITING"]
    # The search space differs from the lost trial's on purpose: what is queued keeps its values.
    job = TuneJob((*job.words, "tune.space.seed=[7,8]"), None, tmp_path)
    run_trials(job, 0)
    again = open_study(tmp_path, 0, prune=True).trials[1]
    assert again.state.name == "COMPLETE"
    assert again.params == trial.params
    # It had its folder to itself: this is what processes take turns by.
    assert (tmp_path / "trials" / again.user_attrs["folder"] / ".turn").is_file()


def test_what_to_try_is_checked() -> None:
    fixed = {"a": 0.25, "b": 4, "c": "x", "d.e": True}
    trial = optuna.trial.FixedTrial(fixed)
    space: dict = {
        "a": {"low": 0.1, "high": 1.0, "log": True},
        "b": {"low": 2, "high": 8, "step": 2},
        "c": ["x", "y"],
        "d": {"e": [True, False], "f": None},
    }
    assert suggest(trial, space) == ["a=0.25", "b=4", "c=x", "d.e=true"]
    for bad in ({"low": 1}, [], 3, {"low": 0, "high": 1, "lgo": True}):
        with pytest.raises(ConfigError, match=r"tune\.space\.a"):
            suggest(trial, {"a": bad})


def test_a_bad_trial_is_pruned_by_its_looks(tmp_path: Path) -> None:
    study = open_study(tmp_path, 0, prune=True)
    for score in (0.8, 0.9, 0.7, 0.8):
        trial = study.ask()
        trial.report(score, 1)
        study.tell(trial, score)
    bad = study.ask()
    bad.report(0.1, 1)
    assert bad.should_prune()
    good = study.ask()
    good.report(0.95, 1)
    assert not good.should_prune()


def test_a_trial_waits_while_another_process_has_its_folder(tmp_path: Path) -> None:
    entered = threading.Event()

    def wait_and_enter() -> None:
        with alone_in(tmp_path):
            entered.set()

    with Locks(tmp_path) as other:
        assert other.take(tmp_path / "lock.json")
        waiting = threading.Thread(target=wait_and_enter)
        waiting.start()
        assert not entered.wait(1.0)
        other.release(tmp_path / "lock.json")
        assert entered.wait(30.0)
    waiting.join()
    assert not (tmp_path / "lock.json").exists()

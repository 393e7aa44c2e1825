"""Loggers: TensorBoard's files are read back; mlflow and wandb are not installed here."""

import importlib.util
import sys
import types

import numpy as np
import pytest

from cryo_pick.errors import ConfigError
from cryo_pick.report.slices import png_bytes
from cryo_pick.training_log import LOGGERS, open_logger


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "run_0000002.png"
    path.write_bytes(png_bytes(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    return path


def test_csv_needs_nothing(tmp_path, picture):
    log = open_logger("csv", tmp_path / "work", 0)
    log.numbers(1, {"loss": 1.0})
    log.picture(1, "run", picture)
    log.close()
    assert not (tmp_path / "work").exists()


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="csv, tensorboard, mlflow, wandb"):
        open_logger("tensorbord", tmp_path, 0)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_what_is_not_installed_is_said_with_how_to_get_it(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    with pytest.raises(ConfigError, match=rf"logger={name}.*pip install {name}"):
        open_logger(name, tmp_path, 0)


def test_tensorboard_drops_what_is_done_again(tmp_path, picture):
    for begin, last in ((0, 4), (2, 5)):  # killed at step 4, gone on from step 2
        log = open_logger("tensorboard", tmp_path, begin)
        for step in range(begin + 1, last + 1):
            log.numbers(step, {"loss": 10.0 * begin + step})
        log.picture(last, "run", picture)
        log.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [
        (1, 1.0), (2, 2.0), (3, 23.0), (4, 24.0), (5, 25.0),
    ]  # fmt: skip
    assert [e.step for e in events.Images("run")][-1] == 5


class Recorder:
    """Stands for a package that is not installed: keeps what it is called with."""

    def __init__(self):
        self.calls = []
        self.info = types.SimpleNamespace(run_id="r1")
        self.id = "r1"

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return call


@pytest.mark.parametrize(("name", "begin"), [("mlflow", "start_run"), ("wandb", "init")])
def test_a_run_elsewhere_is_gone_on_with(tmp_path, monkeypatch, picture, name, begin):
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, name, recorder)
    for step in (0, 20):
        log = open_logger(name, tmp_path, step)
        log.numbers(step + 1, {"loss": 0.5})
        log.picture(step + 1, "run", picture)
        log.close()
    starts = [kwargs for called, _, kwargs in recorder.calls if called == begin]
    key = "run_id" if name == "mlflow" else "id"
    assert [s[key] for s in starts] == [None, "r1"]
    assert sum(called in ("log_metrics", "log") for called, _, _ in recorder.calls) >= 2


def test_every_logger_is_a_setting():
    from cryo_pick.config import compose

    for name in LOGGERS:
        assert compose([f"logger={name}"]).refiner.optimizer.logger == name
    assert importlib.util.find_spec("tensorboard") is not None

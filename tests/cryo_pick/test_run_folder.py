import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryo_pick.config import compose, from_mapping, to_yaml
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.run_folder import RunFolder, environment, plain, redact

SECRET = "s3://key:hunter2@host/bucket?token=hunter2"


@pytest.fixture
def log():
    logger = logging.getLogger("cryo_pick.test")
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(logging.NOTSET)


def test_a_run_leaves_its_four_files(tmp_path, log):
    config = compose(["seed=5"])
    with RunFolder(tmp_path / "a" / "b", to_yaml(config)) as folder:
        log.info("half way")
        folder.write_summary({"score": 0.5})
    assert sorted(p.name for p in folder.path.iterdir()) == [
        "config.yaml",
        "environment.json",
        "run.log",
        "summary.json",
    ]
    assert from_mapping(yaml.safe_load((folder.path / "config.yaml").read_text())) == config
    assert json.loads((folder.path / "summary.json").read_text()) == {"score": 0.5}
    assert "INFO    cryo_pick.test: half way" in (folder.path / "run.log").read_text()


def test_the_log_is_continued_and_ends_with_the_block(tmp_path, log):
    for text in ("first", "second"):
        with RunFolder(tmp_path):
            log.info(text)
        log.info("outside")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.rsplit(" ", 1)[-1] for line in lines] == ["first", "second"]


def test_what_stopped_a_run_is_in_its_log(tmp_path):
    with pytest.raises(InputError), RunFolder(tmp_path / "known"):
        raise InputError("no picks in run 3")
    with pytest.raises(KeyError), RunFolder(tmp_path / "bug"):
        raise KeyError("k")
    known = (tmp_path / "known" / "run.log").read_text()
    assert "stopped by InputError: no picks in run 3" in known
    assert "Traceback" not in known
    assert "Traceback" in (tmp_path / "bug" / "run.log").read_text()


def test_environment_tells_versions_and_no_secrets(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hunter2")
    found = environment(["cryo-pick", "predict", SECRET])
    assert found["argv"] == ["cryo-pick", "predict", "s3://***@host/bucket?***"]
    assert {"torch", "numpy", "zarr"} <= set(found["packages"])
    assert found["cpus"] >= 1
    assert "hunter2" not in json.dumps(found)


def test_no_file_of_the_folder_holds_a_secret(tmp_path, log):
    with RunFolder(tmp_path, to_yaml(compose([f"data={SECRET}"])), ["x", SECRET]):
        log.info("reading %s", SECRET)
    with pytest.raises(KeyError), RunFolder(tmp_path):
        raise KeyError(SECRET)
    for file in tmp_path.iterdir():
        assert "hunter2" not in file.read_text()


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="expected a folder that can be made"):
        RunFolder(tmp_path / "file")
    with pytest.raises(ConfigError, match="give another output folder"):
        RunFolder(tmp_path / "file" / "below")


def test_a_folder_that_can_not_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr("cryo_pick.run_folder.os.access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="its permissions don't allow it"):
        RunFolder(tmp_path)


def test_plain_values():
    values = {"a": np.arange(2), "b": np.float32(0.5), "c": (Path("x"), math.nan), 3: [math.inf]}
    assert plain(values) == {"a": [0, 1], "b": 0.5, "c": ["x", None], "3": [None]}


@pytest.mark.parametrize("text", ["s3://bucket/a@b", "/a/b@c?d", "me@host", "train.fold=0"])
def test_what_is_no_secret_stays(text):
    assert redact(text) == text

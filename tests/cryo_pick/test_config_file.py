"""A config file as the base of a command line."""

import pytest
import yaml

from cryo_pick.config import compose, to_yaml
from cryo_pick.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(compose(["model=unet_half", "fold=1", "target.sigma=20", "out=there"])))
    return path


def test_a_file_gives_itself_back(file):
    assert yaml.safe_load(to_yaml(compose([], file))) == yaml.safe_load(file.read_text())


def test_settings_change_it_and_groups_are_replaced_whole(file):
    config = compose(
        ["model=shuffle_unet", "experiment=smoke", "train.optimizer.steps=7", "out=a b"], file
    )
    assert config.model == compose(["model=shuffle_unet"]).model
    assert config.train.crop == [32, 32, 32]  # of the experiment
    assert config.train.optimizer.steps == 7
    assert config.train.fold == 1
    assert config.target.sigma == 20
    assert config.out == "a b"


def test_what_is_wrong_is_named(file, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        compose([], tmp_path / "none.yaml")
    file.write_text("train: {folds: two}\nmodle: {}")
    with pytest.raises(ConfigError) as error:
        compose([], file)
    assert "train.folds" in str(error.value)
    assert "modle" in str(error.value)
    file.write_text("- a\n- b")
    with pytest.raises(ConfigError, match="expected keys and values"):
        compose([], file)

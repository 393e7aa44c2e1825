import dataclasses
from functools import reduce

import pytest
import yaml
from omegaconf import OmegaConf

from cryo_pick.config import Config, compose, from_mapping, schema_keys, to_yaml
from cryo_pick.config_checks import CHECKS, range_problems
from cryo_pick.errors import ConfigError

FREE = {"loss.params", "model.params", "refiner.params", "tune.space"}
"""Free words, checked where a network, a loss or a search is built."""


def problem_of(*overrides):
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    return str(caught.value)


def problem_of_values(*words):
    """The same for values alone, without Hydra, which takes a while."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(OmegaConf.to_container(OmegaConf.from_dotlist(list(words))))
    return str(caught.value)


def test_the_default_config_is_valid():
    config = compose()
    assert isinstance(config, Config)
    assert config.train.optimizer.steps > 0
    assert config.model.params


def test_a_setting_changes_one_value_only():
    before, after = dataclasses.asdict(compose()), dataclasses.asdict(compose(["fit.beta=2"]))
    assert after["fit"].pop("beta") == 2.0
    assert before["fit"].pop("beta") == 4.0
    assert before == after


def test_seed_reaches_both_stages():
    config = compose(["seed=11"])
    assert (config.train.optimizer.seed, config.refiner.optimizer.seed) == (11, 11)


def test_settings_win_over_an_experiment_wherever_they_stand():
    for words in (["experiment=cpu", "train.folds=3"], ["train.folds=3", "experiment=cpu"]):
        assert compose(words).train.folds == 3


def test_free_form_keys_can_be_added_and_changed():
    before = compose().model.params
    after = compose(["model.params.new=3", "model.params.channels=[8,16]"]).model.params
    assert after == {**before, "channels": [8, 16], "new": 3}


def test_yaml_is_read_back_as_the_same_config():
    config = compose(["data=/some/project", "data.origin=[1,2,3]", "fold=1", "out=a b"])
    assert from_mapping(yaml.safe_load(to_yaml(config))) == config


def test_misspelt_key():
    assert problem_of("train.optimizer.stesp=3").startswith(
        "settings: no key 'train.optimizer.stesp'; closest: train.optimizer.steps, "
    )


def test_misspelt_key_inside_a_value():
    assert "stesp" in problem_of("train.optimizer={stesp: 3}")
    with pytest.raises(ConfigError, match=r"no key 'fit\.betta'; closest: fit\.beta"):
        from_mapping({"fit": {"betta": 3}})


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.optimizer.steps=abc", "a whole number, but got 'abc'"),
        ("train.optimizer.steps=1.5", "a whole number, but got 1.5"),
        ("train.optimizer.steps=null", "a whole number, but got None"),
        ("augment.flip=maybe", "true or false, but got 'maybe'"),
        ("fit.beta=high", "a number, but got 'high'"),
        ("train.crop=64", "a list of whole numbers, [a,b,c], but got 64"),
        ("data.runs=TS_1", "a list of texts, [a,b,c] or null, but got 'TS_1'"),
        ("data.voxel_spacing=[1,2]", "a number or null, but got [1, 2]"),
        ("model.params=3", "settings of its own, key: value, but got 3"),
        ("train.optimizer=3", "settings of its own, key: value, but got 3"),
    ],
)
def test_wrong_type(word, expected):
    assert problem_of_values(word) == f"config: {word.split('=')[0]}: expected {expected}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.optimizer.steps=0", "1 or more, but got 0"),
        ("refiner.optimizer.learning_rate=0", "a number above 0, but got 0.0"),
        ("train.optimizer.ema_decay=1", "a number from 0 to below 1, but got 1.0"),
        ("train.optimizer.precision=fp8", "one of auto, fp32, bf16, fp16, but got 'fp8'"),
        ("train.crop=[64,64]", "three positive multiples of 8, [z,y,x], but got [64, 64]"),
        ("train.crop=[64,64,60]", "three positive multiples of 8, [z,y,x], but got [64, 64, 60]"),
        ("train.folds=1", "2 or more, but got 1"),
        ("train.centred=1.5", "a number from 0 to 1, but got 1.5"),
        ("candidates.method=maxima", "one of peaks, components, points, linked, but got 'maxima'"),
        ("candidates.threshold=0", "a number above 0 and below 1, but got 0.0"),
        ("candidates.kernel=4", "an odd number, 3 or more, but got 4"),
        ("infer.memory=4", "an amount of memory such as 4GB or 512MB, but got '4'"),
        ("refiner.views=3", "one of 1, 2, 4, 8, but got 3"),
        ("infer.tile=[0,8]", "three positive multiples of 8, [z,y,x], or null, but got [0, 8]"),
        ("refiner.patch=41", "an even number, 8 or more, but got 41"),
        ("fit.beta=nan", "a number above 0, but got nan"),
        ("data.origin=[1]", "three finite lengths in Å, [z,y,x], or null, but got [1.0]"),
        ("data.origin_voxels=inf", "a finite number, or null, but got inf"),
        ("data.runs=[]", "at least one name, or null, but got []"),
        ("objects=cziii", "one of project, czii, but got 'cziii'"),
    ],
)  # fmt: skip
def test_value_out_of_range(word, expected):
    assert problem_of_values(word) == f"config: {word.split('=')[0]}: expected {expected}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.fold=2"], "train.fold: expected 0 to 1 (train.folds is 2), but got 2"),
        (["data.origin=[0,0,0]", "data.origin_voxels=0"], "expected one of them, but got both"),
        (["target.sigma_min=50"], "target.sigma_min: expected target.sigma_max (40.0) or less"),
        (["infer.tile=[8,8,8]", "infer.overlap=[0,0,8]"], "expected infer.tile ([8, 8, 8]) with"),
    ],
)
def test_values_that_contradict_each_other(words, expected):
    assert expected in problem_of_values(*words)


def test_all_problems_are_reported_at_once():
    message = problem_of_values("fit.beta=0", "train.folds=1", "objects=mine")
    assert message.startswith("config: 3 problems\n")
    assert all(key in message for key in ("fit.beta", "train.folds", "objects"))


def test_types_and_ranges_are_checked_after_hydra_too():
    assert problem_of("train.optimizer.steps=abc").endswith("a whole number, but got 'abc'")
    assert problem_of("folds=1", "fold=3").endswith("train.folds: expected 2 or more, but got 1")


def test_every_value_that_can_be_wrong_has_a_check():
    inner = {key.rsplit(".", 1)[0] for key in schema_keys() if "." in key}
    leaves = set(schema_keys()) - inner - FREE
    unchecked = {k for k in leaves if not isinstance(reduce(getattr, k.split("."), Config()), bool)}
    assert unchecked == set(CHECKS)


def test_the_defaults_of_the_schema_are_in_range():
    assert range_problems(Config()) == []

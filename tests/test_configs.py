"""Every YAML file of configs/ composes, passes its schema, and hides no field."""

import dataclasses
from importlib import resources

import pytest
import yaml

from cryo_pick.config import Config, compose, from_mapping, schema_keys, to_yaml
from cryo_pick.overrides import group_options

GROUPS = group_options()
OPTIONS = [(group, option) for group, options in GROUPS.items() for option in options]


def read(group, option):
    return yaml.safe_load(resources.files("configs").joinpath(group, f"{option}.yaml").read_text())


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    config = compose([f"{group}={option}"])
    assert isinstance(config, Config)
    assert from_mapping(yaml.safe_load(to_yaml(config))) == config


@pytest.mark.parametrize(("group", "option"), [o for o in OPTIONS if o[0] != "experiment"])
def test_every_option_lists_every_field(group, option):
    schema = type(getattr(Config(), group))
    values = read(group, option)
    if group in values:  # a preset, which sets more than its own group
        values = values[group]
    listed = set(flat_keys(values, schema_keys(schema)))
    assert listed == set(schema_keys(schema))


PRESETS = [o for o in GROUPS["model"] if "model" in read("model", o)]


def test_there_are_presets():
    assert len(PRESETS) >= 9


@pytest.mark.parametrize("option", PRESETS)
def test_a_preset_arrives_whole_and_what_is_typed_wins(option):
    values = read("model", option)
    config = dataclasses.asdict(compose([f"model={option}"]))
    chosen = [next(iter(d.items())) for d in values.pop("defaults")]
    for group, choice in chosen:
        own = read(group.removeprefix("override /"), choice)
        changed = values.get(group.removeprefix("override /"), {})
        assert contains(config[group.removeprefix("override /")], own | changed)
    assert all(contains(config[group], part) for group, part in values.items())
    typed = ["target=voxel", "loss=balanced_mse", "train.crop=[8,8,8]", "augment=none"]
    for words in ([f"model={option}", *typed], [*typed, f"model={option}"]):
        mine = compose(words)
        assert (mine.target.kind, mine.loss.name, mine.augment.flip) == (
            "voxel", "balanced_mse", False
        )  # fmt: skip
        assert mine.train.crop == [8, 8, 8]
        assert mine.model.network == values["model"]["network"]


@pytest.mark.parametrize("option", GROUPS["experiment"])
def test_an_experiment_arrives_whole(option):
    config = dataclasses.asdict(compose([f"experiment={option}"]))
    for group, values in read("experiment", option).items():
        if group != "defaults":
            assert contains(config[group], values)


def test_every_group_belongs_to_a_field():
    fields = {f.name for f in dataclasses.fields(Config)}
    assert set(GROUPS) - {"experiment"} == fields - {"objects", "out"}


def test_the_challenge_data_has_its_half_voxel():
    assert compose(["data=czii"]).data.origin_voxels == -0.5
    assert compose(["data=simulated"]).data.origin_voxels == 0.0
    assert compose().data.origin_voxels is None


def test_options_differ():
    assert compose(["candidates=components"]).candidates.method == "components"
    assert compose(["augment=none"]).augment.flip is False


def flat_keys(values, keys, prefix=""):
    """Dotted keys of nested values, down to what the schema knows."""
    for key, value in values.items():
        name = prefix + key
        yield name
        if isinstance(value, dict) and not keys.get(name, False):
            yield from flat_keys(value, keys, name + ".")


def contains(whole, part):
    """Whether nested values hold all those of another."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], part[key]) for key in part)
    return whole == part

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.config import compose, schema_keys
from cryo_pick.errors import ConfigError
from cryo_pick.overrides import (
    expand_sweep,
    group_options,
    is_override,
    override_of,
    quote,
    resolve_overrides,
)


@pytest.mark.parametrize("word", ["a=1", "train.fold=0", "data=a=b", "+experiment=cpu", "out="])
def test_a_setting_is_known_by_its_look(word):
    assert is_override(word)


@pytest.mark.parametrize("word", ["--out=a", "/data/a=1", "./a=1", "a", "-m", "3=4", "a-b=1", "=1"])
def test_paths_and_flags_are_no_settings(word):
    assert not is_override(word)


def test_groups_are_the_folders_of_configs():
    groups = group_options()
    assert groups["candidates"] == ["components", "linked", "peaks", "points"]
    assert {"cpu", "demo", "gpu", "smoke"} <= set(groups["experiment"])
    assert "__pycache__" not in groups


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("fold=1", ["train.fold=1"]),
        ("folds=5", ["train.folds=5"]),
        ("seed=7", ["train.optimizer.seed=7", "refiner.optimizer.seed=7"]),
        ("data=czii", ["data=czii"]),
        ("data=./project", ["data.project='./project'"]),
        ("model=/a/b c,d", ["model.path='/a/b c,d'"]),
        ("candidates=s3://bucket/c", ["candidates.path='s3://bucket/c'"]),
        ("out=a,b=c", ["out='a,b=c'"]),
        ("out=null", ["out=null"]),
        ("+experiment=cpu", ["experiment=cpu"]),
        ("experiment=null", ["experiment=null"]),
        ("model.params.width=3", ["++model.params.width=3"]),
    ],
)
def test_short_forms(word, expected):
    assert resolve_overrides([word], schema_keys()) == expected


def test_a_name_without_separator_is_a_path_if_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="data=mine is neither an option of data"):
        resolve_overrides(["data=mine"], schema_keys())
    (tmp_path / "mine").mkdir()
    assert resolve_overrides(["data=mine"], schema_keys()) == ["data.project='mine'"]


def test_every_problem_is_reported_at_once():
    words = ["train.fodl=0", "loss=weighted_msee", "infer.views=1,2", "train.crop=[1", "~out=1"]
    with pytest.raises(ConfigError) as caught:
        resolve_overrides(words, schema_keys())
    message = str(caught.value)
    assert "5 problems" in message
    assert "no key 'train.fodl'; closest: train.fold" in message
    assert "no option 'weighted_msee' of loss; closest: weighted_mse" in message
    assert "infer.views=1,2 lists several values; add -m" in message
    assert "train.crop=[1: can't be read" in message
    assert "'~out=1' is not of the form key=value" in message


def test_a_sweep_is_every_combination():
    jobs = expand_sweep(["train.fold=0,1", "seed=3", "infer.views=choice(1,2,4)", "data=/a"])
    assert len(jobs) == 6
    assert jobs[0] == ["train.fold=0", "seed=3", "infer.views=1", "data=/a"]
    assert jobs[-1] == ["train.fold=1", "seed=3", "infer.views=4", "data=/a"]
    assert expand_sweep(["train.crop=[64,64,64]"]) == [["train.crop=[64,64,64]"]]
    assert expand_sweep([]) == [[]]


def test_a_sweep_that_can_not_be_read_is_refused():
    with pytest.raises(ConfigError, match=r"train.crop=\[1: can't be read"):
        expand_sweep(["train.crop=[1"])


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_characters="\0\n\r", codec="utf-8"), max_size=20))
def test_any_text_survives_quoting(text):
    parsed = OverridesParser.create().parse_override(f"out={quote(text)}")
    assert parsed.value() == text


@pytest.mark.parametrize(
    "text", ["", "'", "\\", "\\'", "a\\\\", "it's", '"', " a ", "a,b=[c", "\\\\'\\"]
)
def test_awkward_text_survives_quoting(text):
    assert OverridesParser.create().parse_override(f"out={quote(text)}").value() == text


def test_values_of_flags_arrive_as_they_are():
    config = compose(
        [
            override_of("data.project", "a b's"),
            override_of("data.runs", ["r 1", "r,2"]),
            override_of("train.fold", 1),
            override_of("augment.flip", False),
            override_of("refiner.jitter", 1.5),
            override_of("train.crop", (8, 16, 24)),
        ]
    )
    assert config.data.project == "a b's"
    assert config.data.runs == ["r 1", "r,2"]
    assert config.train.fold == 1
    assert config.augment.flip is False
    assert config.refiner.jitter == 1.5
    assert config.train.crop == [8, 16, 24]


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.1:8786", "tls://node-3.lab:80", "localhost:8786", "tcp://[fe80::1]:1"]
)
def test_an_address_is_a_cluster(address):
    cluster = compose([f"cluster={address}"]).cluster
    assert (cluster.kind, cluster.address) == ("address", address)


@pytest.mark.parametrize("word", ["cluster=slrm", "cluster=http://h:1", "cluster=host", "cluster="])
def test_what_is_neither_a_cluster_nor_an_address_is_refused(word):
    with pytest.raises(ConfigError, match=r"no option .* of cluster.*tcp://HOST:PORT"):
        compose([word])

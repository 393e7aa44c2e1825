"""Weights come back as they were; whatever else stands in the files is refused in one line."""

from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from cryo_pick.errors import InputError
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.parts import build_part
from cryo_pick.weights import load_network, save_network

PACKAGE = "detector.networks"
PARAMS = {"channels": [8, 8], "blocks": [1, 1]}
SPEC = NetworkSpec(
    PACKAGE, "shuffle_unet", PARAMS, ("a", "b-c"), 10.012, ("TS_1", "TS_2"), 0, {"identity": "x"},
    {"down.0.0.0": (-1.5, 2.25), "down.0.1.body.0": (0.0, 3.0)},
)  # fmt: skip


def make(classes=2):
    torch.manual_seed(0)
    return build_part(PACKAGE, "shuffle_unet", PARAMS, "model", n_classes=classes)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "deep" / "fold0"
    save_network(path, make(), SPEC)
    return path


def change(path, **values):
    file = path.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | values))


def test_round_trip(saved):
    module, spec = load_network(saved, PACKAGE)
    assert spec == SPEC
    assert not module.training
    expected = make().state_dict()
    assert module.state_dict().keys() == expected.keys()
    assert all(torch.equal(v, expected[k]) for k, v in module.state_dict().items())
    assert {p.name for p in saved.parent.iterdir()} == {"fold0.yaml", "fold0.safetensors"}


def test_weights_in_channels_last_come_back_too(tmp_path):
    module = make().to(memory_format=torch.channels_last_3d)
    save_network(tmp_path / "w", module, SPEC)
    loaded = load_network(tmp_path / "w", PACKAGE)[0].state_dict()
    assert all(torch.equal(v, loaded[k]) for k, v in module.state_dict().items())


def test_the_files_are_plain_yaml_and_safetensors(saved):
    described = yaml.safe_load(saved.with_suffix(".yaml").read_text())
    assert described["classes"] == ["a", "b-c"]
    assert described["trained_on"] == ["TS_1", "TS_2"]
    assert "!!python" not in saved.with_suffix(".yaml").read_text()
    assert load_file(saved.with_suffix(".safetensors")).keys() == make().state_dict().keys()


@pytest.mark.parametrize("ending", [".yaml", ".safetensors"])
def test_a_missing_file_is_named(saved, ending):
    saved.with_suffix(ending).unlink()
    with pytest.raises(InputError, match=f"fold0{ending}: no such file"):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize(
    "network",
    ["os.system", "os", "../../evil", "detector.networks.unet_half", "__init__", "", "/tmp/x"],
)
def test_a_network_that_is_not_ours_is_refused(saved, network):
    change(saved, network=network)
    with pytest.raises(InputError, match=r"fold0\.yaml"):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize("package", ["os", "refiner.networks", "detector.losses", ""])
def test_a_description_of_another_package_is_refused(saved, package):
    change(saved, package=package)
    with pytest.raises(InputError, match="package"):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"chanels": [8, 8]}, "params.chanels.*closest: channels"),
        ({"n_classes": 9}, "params.n_classes"),
        ({"channels": "wide"}, "can't be built"),
        ({"channels": [8, -8], "blocks": [1, 1]}, "can't be built"),
        ({"channels": [8]}, "can't be built"),
        ({1: 2}, "params should be settings by name"),
        ([1], "params should be"),
    ],
)
def test_unknown_or_impossible_settings_are_refused(saved, params, message):
    change(saved, params=params)
    with pytest.raises(InputError, match=message):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", []), ("classes", "ab"), ("classes", [1]), ("voxel_spacing", 0),
        ("voxel_spacing", float("nan")), ("voxel_spacing", "10"), ("voxel_spacing", None),
        ("trained_on", None), ("patch", -8), ("patch", 1.5), ("extra", 3), ("network", None),
        ("int8_ranges", None), ("int8_ranges", [1]), ("int8_ranges", {"stem": 1}),
        ("int8_ranges", {"stem": [0.0]}), ("int8_ranges", {"stem": [1.0, 2.0]}),
        ("int8_ranges", {"stem": [-1.0, "2"]}), ("int8_ranges", {"stem": [0.0, float("nan")]}),
        ("int8_ranges", {"stem": [0.0, float("inf")]}), ("int8_ranges", {7: [0.0, 1.0]}),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_named(saved, field, value):
    change(saved, **{field: value})
    with pytest.raises(InputError, match=rf"fold0\.yaml: {field} should be"):
        load_network(saved, PACKAGE)


def test_a_description_of_before_has_no_ranges(saved):
    file = saved.with_suffix(".yaml")
    values = yaml.safe_load(file.read_text())
    del values["int8_ranges"]
    file.write_text(yaml.safe_dump(values))
    assert load_network(saved, PACKAGE)[1] == replace(SPEC, int8_ranges={})


@pytest.mark.parametrize("layer", ["nowhere", "", "down", "down.0.0.1"])
def test_ranges_of_what_is_no_layer_are_refused(saved, layer):
    change(saved, int8_ranges={**SPEC.int8_ranges, layer: [0.0, 1.0]})
    with pytest.raises(InputError, match="int8_ranges"):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [hacked]",
        "package: !!python/name:os.system",
        "{", "a: b: c", "", "- 1", "just words", "\x00", "x: &a [*a",
    ],
)  # fmt: skip
def test_what_is_no_plain_description_is_refused_and_not_run(saved, text, monkeypatch):
    monkeypatch.chdir(saved.parent)
    saved.with_suffix(".yaml").write_text(text)
    with pytest.raises(InputError, match=r"fold0\.yaml"):
        load_network(saved, PACKAGE)
    assert not (saved.parent / "hacked").exists()


def test_a_description_that_is_no_text_is_refused(saved):
    saved.with_suffix(".yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="not readable as YAML"):
        load_network(saved, PACKAGE)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights_are_refused(saved, keep):
    file = saved.with_suffix(".safetensors")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"fold0\.safetensors: not the weights"):
        load_network(saved, PACKAGE)


def test_a_pickle_is_never_loaded(saved):
    torch.save(make().state_dict(), saved.with_suffix(".safetensors"))
    with pytest.raises(InputError, match=r"fold0\.safetensors"):
        load_network(saved, PACKAGE)


def test_weights_of_another_shape_or_name_are_refused_in_one_line(saved):
    change(saved, classes=["a", "b", "c"])
    with pytest.raises(InputError, match="size mismatch") as caught:
        load_network(saved, PACKAGE)
    assert "\n" not in str(caught.value)
    change(saved, classes=["a", "b"])
    save_file({"x": torch.zeros(2)}, saved.with_suffix(".safetensors"))
    with pytest.raises(InputError, match="not the weights") as caught:
        load_network(saved, PACKAGE)
    assert len(str(caught.value)) < 600


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fail(tensors, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_network(tmp_path / "w", make(), SPEC)
    # A description without weights stands for nothing; weights without one would look finished.
    assert [p.name for p in tmp_path.iterdir()] == ["w.yaml"]


def test_a_description_that_yaml_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(yaml.YAMLError):
        save_network(tmp_path / "w", make(), replace(SPEC, extra={"x": object()}))
    assert list(tmp_path.iterdir()) == []

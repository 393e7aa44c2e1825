import pytest
import torch

from cryo_pick.average import average_states
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.weights import load_network, save_network
from detector.cli import main
from detector.networks.shuffle_unet import build

PARAMS = {"channels": [8], "blocks": [1]}


def saved(path, seed, classes=("a",), runs=("r",), **params):
    torch.manual_seed(seed)
    module = build(len(classes), **(PARAMS | params))
    spec = NetworkSpec(
        "detector.networks", "shuffle_unet", PARAMS | params, classes, 10.0, runs,
        int8_ranges={"head": (0.0, 1.0)},
    )  # fmt: skip
    save_network(path, module, spec)
    return module


def test_floats_are_averaged_and_counters_kept():
    a = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    b = {"w": torch.tensor([3.0, 6.0]), "n": torch.tensor(5)}
    mean = average_states([a, b])
    assert mean["w"].tolist() == [2, 4]
    assert mean["n"].item() == 3
    with pytest.raises(ValueError, match="tensors differ"):
        average_states([a, {"w": torch.zeros(3), "n": torch.tensor(0)}])
    with pytest.raises(ValueError, match="at least one"):
        average_states([])


def test_checkpoints_become_one_network(tmp_path, capsys):
    modules = [saved(tmp_path / n, i, runs=(n,)) for i, n in enumerate("xyz")]
    words = [str(tmp_path / f"{n}.safetensors") for n in "xyz"]
    assert main(["average", *words, "--out", str(tmp_path / "mean")]) == 0
    assert "detector.safetensors" in capsys.readouterr().out
    module, spec = load_network(tmp_path / "mean" / "detector", "detector.networks")
    assert spec.trained_on == ("x", "y", "z")
    assert spec.int8_ranges == {}  # each had its own; nobody measured those of the mean
    weight = "head.weight"
    expected = torch.stack([m.state_dict()[weight] for m in modules]).mean(0)
    torch.testing.assert_close(module.state_dict()[weight], expected)


def test_networks_that_are_not_alike_are_refused(tmp_path, capsys):
    saved(tmp_path / "x", 0)
    saved(tmp_path / "y", 0, channels=[16])
    words = [str(tmp_path / n) for n in "xy"]
    assert main(["average", *words, "--out", str(tmp_path / "mean")]) == 3
    assert "its params is" in capsys.readouterr().err
    assert not (tmp_path / "mean").exists()

"""A training that begins with a bundle's weights, for the same and for fewer classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.config import compose
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.objects import ParticleTypes
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.start_weights import find_start, starting_weights
from cryo_pick.weights import load_network
from tests.cryo_pick.pipeline.conftest import SMOKE


def begun(bundle: Path, types: ParticleTypes, unseen: list[str], **model: object) -> dict:
    chosen = compose(SMOKE).model
    params = chosen.params | model
    state = starting_weights(str(bundle), "detector", chosen.network, params, types, unseen, seed=0)
    assert state is not None
    return state


def test_the_member_that_saw_least_is_taken(bundle: Path) -> None:
    folds = read_bundle(bundle).folds
    for fold in (0, 1):
        inside = [r for r, f in folds.items() if f == fold]
        assert find_start(str(bundle), "detector", inside) == bundle / "detector" / f"fold{fold}"
    with pytest.raises(InputError, match="no detector weights"):
        find_start(str(bundle / "oof"), "detector", [])


def test_the_head_follows_the_class_names(bundle: Path) -> None:
    types = read_bundle(bundle).types
    trained = load_network(bundle / "detector" / "fold0", "detector.networks")[0].state_dict()
    inside = [r for r, f in read_bundle(bundle).folds.items() if f == 0]
    fewer = ParticleTypes((types[4], types[1]))
    state = begun(bundle, fewer, inside)
    head = trained["head.weight"].numpy().reshape(len(types), 8, -1)
    np.testing.assert_array_equal(state["head.weight"].numpy().reshape(2, 8, -1), head[[4, 1]])
    assert all(
        np.array_equal(v.numpy(), state[k].numpy())
        for k, v in trained.items()
        if not k.startswith("head")
    )


def test_another_network_is_refused_with_what_the_bundle_has(bundle: Path) -> None:
    types = read_bundle(bundle).types
    with pytest.raises(ConfigError, match=r"does not fit model=shuffle_unet.*channels"):
        begun(bundle, types, [], channels=[8, 8, 8])


def test_both_stages_begin_with_a_bundle(bundle: Path, own_project: Path, tmp_path: Path) -> None:
    config = own_project / "copick_config.json"
    values = json.loads(config.read_text())
    objects = values["pickable_objects"] = values["pickable_objects"][::-1]
    for item, label in zip(objects, sorted(o["label"] for o in objects), strict=True):
        item["label"] = label
    config.write_text(json.dumps(values))
    out = tmp_path / "tuned"
    words = ["train", str(own_project), "--out", str(out), f"start_from={bundle}", *SMOKE]
    words += ["train.optimizer.learning_rate=1e-12", "refiner.optimizer.learning_rate=1e-12"]
    assert main([*words, "train.optimizer.weight_decay=0", "refiner.optimizer.weight_decay=0"]) == 0
    old, new = (load_network(p / "detector" / "fold0", "detector.networks") for p in (bundle, out))
    assert new[1].classes == old[1].classes[::-1]
    mine = new[0].state_dict()["head.weight"].numpy().reshape(6, 8, -1)
    theirs = old[0].state_dict()["head.weight"].numpy().reshape(6, 8, -1)
    np.testing.assert_allclose(mine, theirs[::-1], atol=1e-6)

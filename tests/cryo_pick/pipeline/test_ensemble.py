"""Two trained folders of different presets, strides and losses, joined and used."""

import json

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.cli import main
from cryo_pick.formats.picks_csv import read_csv
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.ensemble import matching_helps, smallest_tiles
from cryo_pick.settings import FitSettings
from detector.settings import InferSettings

SMALL = ["experiment=smoke", "infer.engine=torch", "train.optimizer.steps=2",
         "refiner.optimizer.steps=1"]  # fmt: skip
TINY = [
    "model=unet_tiny",
    "model.params.channels=[4,8]",
    "model.params.strides=[2]",
    "augment=none",
    "candidates.max_per_run=50",
]


@pytest.fixture(scope="module")
def other(_simulated, _cache, tmp_path_factory):
    """A bundle of another preset: full resolution, probabilities, components."""
    folder = tmp_path_factory.mktemp("other") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(_cache))
        words = ["train", str(_simulated), "--out", str(folder), *SMALL, *TINY, "infer.views=1"]
        assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def joined(bundle, other, _cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("joined") / "both"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(_cache))
        words = ["ensemble", str(bundle), str(other), "--out", str(folder), "--weights", "2", "1"]
        assert main([*words, "--match"]) == 0
    return folder


def test_an_ensemble_holds_all_members_with_weights_and_tables(joined, bundle):
    whole = read_bundle(joined)
    first = read_bundle(bundle)
    assert len(whole.detectors) == 2 * len(first.detectors)
    described = whole.ensemble["members"]
    assert set(described) == set(whole.detectors)
    assert sorted({m["weight"] for m in described.values()}) == [1.0, 2.0]
    assert {m["from"] for m in described.values()} == {"shuffle_unet", "unet_full"}
    reference = np.array(whole.ensemble["reference"])
    assert reference.shape == (len(whole.types), len(whole.ensemble["levels"]))
    assert any(np.array_equal(m["table"], reference) for m in described.values())
    assert all((joined / f"{d}.safetensors").is_file() for d in whole.detectors)


def test_an_ensemble_picks(joined, project, tmp_path):
    out = tmp_path / "picks.csv"
    assert main(["predict", str(project), "--model", str(joined), "--out", str(out)]) == 0
    bundle = read_bundle(joined)
    assert set(read_csv(out, bundle.types)) <= set(bundle.folds)


def test_members_know_nothing_of_each_other(bundle, other, joined, tmp_path):
    alone = tmp_path / "one"
    assert main(["ensemble", str(other), "--out", str(alone)]) == 0
    tables = [m["table"] for m in read_bundle(alone).ensemble["members"].values()]
    both = read_bundle(joined).ensemble["members"]
    assert tables[0] == next(m["table"] for m in both.values() if m["from"] == "unet_full")


def test_scores_stay_as_they_are_where_that_is_asked_for(bundle, other, joined, project, tmp_path):
    out = tmp_path / "plain"
    assert main(["ensemble", str(bundle), str(other), "--out", str(out), "--no-match"]) == 0
    described = read_bundle(out).ensemble
    assert described["reference"] is None
    tables = read_bundle(joined).ensemble["members"]
    assert {d: m["table"] for d, m in described["members"].items()} == {
        d: m["table"] for d, m in tables.items()
    }
    assert main(["predict", str(project), "--model", str(out), "--out", str(tmp_path / "p")]) == 0


@pytest.mark.parametrize("knows", [True, False])
def test_matching_is_decided_out_of_fold(knows):
    """A second detector says all of it a twentieth as loudly as the first.

    If it knows as much, and only fears other places, the mean as it is holds the first one's false
    alarms, and that of matched scores neither's. If it knows nothing, matching makes noise loud.
    """
    draw = np.random.default_rng(0)
    types = ParticleTypes((ParticleType("ball", 1, 50.0),))
    places = np.stack(np.meshgrid(*[np.arange(0, 1500, 300.0)] * 3), -1).reshape(-1, 3)
    truth, plain, matched = {}, {}, {}
    for run in "abcd":
        kind = draw.permutation(np.repeat([0, 1, 2], [40, 40, 45]))  # seen by both, first, second
        truth[run] = Picks(places[kind == 0], np.zeros(40, int))
        noise = draw.uniform(0, 0.05, (2, len(places)))
        if knows:
            first = np.choose(kind, [0.6, 0.9, 0.05]) + noise[0]
            second = np.choose(kind, [0.6, 0.05, 0.9]) + noise[1]
        else:
            first = np.choose(kind, [0.6, 0.3, 0.3]) + noise[0]
            second = draw.permutation(first)
        for found, scores in ((plain, second / 20), (matched, second)):
            found[run] = Candidates(places, ((first + scores) / 2)[:, None])
    folds = {"a": 0, "b": 0, "c": 1, "d": 1}
    assert matching_helps(plain, matched, truth, types, folds, FitSettings()) == knows


def test_wrong_weights_are_refused(bundle, tmp_path, capsys):
    words = ["ensemble", str(bundle), "--out", str(tmp_path / "x"), "--weights", "1", "2"]
    assert main(words) == 2
    assert "--weights: expected 1 numbers above 0" in capsys.readouterr().err


def test_folders_of_other_folds_are_refused(bundle, own_bundle_copy, tmp_path, capsys):
    path = own_bundle_copy / "bundle.json"
    values = json.loads(path.read_text())
    values["folds"] = {run: 1 - fold for run, fold in values["folds"].items()}
    path.write_text(json.dumps(values))
    words = ["ensemble", str(bundle), str(own_bundle_copy), "--out", str(tmp_path / "x")]
    assert main(words) == 3
    assert "its folds by run are" in capsys.readouterr().err


@pytest.fixture
def own_bundle_copy(bundle, tmp_path):
    import shutil

    return shutil.copytree(bundle, tmp_path / "copy")


def test_a_project_out_of_sight_is_told(own_bundle_copy, tmp_path, monkeypatch, capsys):
    config = own_bundle_copy / "config.yaml"
    lines = config.read_text().splitlines()
    (line,) = [n for n, text in enumerate(lines) if text.startswith("  project: ")]
    lines[line] = "  project: projects/mine"
    config.write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert main(["ensemble", str(own_bundle_copy), "--out", "both"]) == 3
    assert "trained on projects/mine, as seen from the folder" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()


def test_a_damaged_table_is_refused(joined, project, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(joined, tmp_path / "copy")
    path = copy / "bundle.json"
    values = json.loads(path.read_text())
    next(iter(values["ensemble"]["members"].values()))["table"][0].pop()
    path.write_text(json.dumps(values))
    assert main(["predict", str(project), "--model", str(copy), "--out", str(tmp_path / "p")]) == 3
    assert "damaged bundle" in capsys.readouterr().err


def test_tiles_of_an_ensemble_suit_every_member():
    free, deep = InferSettings(views=2), InferSettings(depth=32)
    deck = InferSettings(depth=16, tile=[16, 128, 128], overlap=[8, 32, 32])
    wide = InferSettings(tile=[32, 64, 192], overlap=[0, 60, 60])
    assert smallest_tiles([free]) == free
    assert smallest_tiles([free, deep]) == InferSettings(views=2, depth=32)
    assert smallest_tiles([free, deep, deck]) == InferSettings(
        views=2, depth=16, tile=[16, 128, 128], overlap=[8, 32, 32]
    )
    joined = smallest_tiles([deck, wide])
    assert (joined.tile, joined.overlap) == ([16, 64, 128], None)  # neither's overlap may fit

"""Training a refiner on single bright voxels: that its parts meet and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryo_pick.candidates import Candidates
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.settings import AugmentSettings, OptimizerSettings
from cryo_pick.weights import load_network, save_network
from refiner.engine_torch import TorchPatchEngine
from refiner.score import score_candidates
from refiner.settings import RefinerSettings
from refiner.train import build_refiner, refiner_spec, train_refiner
from tests.refiner.scenes import ORIGIN, SPACING, STRIDE, TYPES, scene

CHEAP = {"channels": [8], "blocks": [1], "hidden": 16, "dropout": 0.0}
NO_NOISE = AugmentSettings(scale=0, shift=0, noise=0)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(steps=3, patch=16, **changed):
    optimizer = OptimizerSettings(
        steps=steps, batch_size=8, precision="fp32", accelerator="cpu", learning_rate=0.01,
        ema_decay=0.9,
    )  # fmt: skip
    return RefinerSettings(**{"params": CHEAP, "patch": patch, "optimizer": optimizer} | changed)


def score(module, run, patch=16):
    return score_candidates(
        Candidates(run.places, run.stage1), run.volume, run.heatmap, STRIDE, SPACING, ORIGIN,
        [TorchPatchEngine(module, torch.device("cpu"))], patch=patch, views=4, batch_size=8,
    )  # fmt: skip


def test_it_learns_which_candidates_are_particles_and_of_which_class(tmp_path):
    run = scene()
    run = replace(run, volume=run.volume * 3)
    module, result = train_refiner([run], TYPES, settings(120), NO_NOISE, tmp_path)
    assert result.steps == 120
    assert not module.training
    scored = score(module, run)
    expected = np.array([0, 0, 0, 0, 0, 1, 2, 2, 2])
    assert (scored.stage2.argmax(1) == expected).all()


def test_mixing_pairs_trains_and_can_be_repeated(tmp_path):
    given = settings(4, mixup=0.4, label_smoothing=0.05)
    a, b = (
        train_refiner([scene()], TYPES, given, NO_NOISE, tmp_path / n)[0].state_dict() for n in "ab"
    )
    assert all(torch.equal(v, b[k]) for k, v in a.items())
    plain = train_refiner([scene()], TYPES, settings(4), NO_NOISE, tmp_path / "c")[0].state_dict()
    assert not torch.equal(plain["classify.weight"], a["classify.weight"])


def test_what_is_saved_says_what_it_is(tmp_path):
    given = settings()
    module = build_refiner(given, 2)
    save_network(tmp_path / "r", module, refiner_spec(given, TYPES, 10.0, ["r1", "r2"]))
    loaded, spec = load_network(tmp_path / "r", "refiner.networks")
    assert (spec.classes, spec.trained_on, spec.patch) == (("a", "b"), ("r1", "r2"), 16)
    before, after = score(module.eval(), scene()), score(loaded, scene())
    np.testing.assert_array_equal(before.stage2, after.stage2)


@pytest.mark.parametrize("patch", [15, 0])
def test_a_patch_that_does_not_fit_is_refused(tmp_path, patch):
    with pytest.raises(ConfigError, match=f"refiner.patch={patch}"):
        train_refiner([scene()], TYPES, settings(patch=patch), NO_NOISE, tmp_path)


def test_a_heatmap_of_another_stride_is_refused(tmp_path):
    run = replace(scene(), stride=4)
    with pytest.raises(ConfigError, match=r"refiner\.patch=16 does not fit"):
        train_refiner([run], TYPES, settings(), NO_NOISE, tmp_path)


def test_no_candidates_is_said_to_be_so(tmp_path):
    run = replace(scene(), places=np.empty((0, 3)), stage1=np.empty((0, 2), np.float32))
    with pytest.raises(InputError, match="no candidates in run"):
        train_refiner([run], TYPES, settings(), NO_NOISE, tmp_path)
    with pytest.raises(InputError, match="no candidates in any run"):
        train_refiner([], TYPES, settings(), NO_NOISE, tmp_path)

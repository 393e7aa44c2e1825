"""Training a detector: that its parts meet, that it learns, and that bad settings are refused."""

import numpy as np
import pytest
import torch

from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.settings import AugmentSettings, OptimizerSettings
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network, save_network
from detector.parts import output_stride
from detector.sampling import TrainingRun
from detector.settings import DetectorTrainSettings, LossSettings, ModelSettings, TargetSettings
from detector.train import batch_loss, build_detector, detector_spec, train_detector, training_run

TYPES = ParticleTypes((ParticleType("small", 1, 40.0), ParticleType("large", 2, 100.0)))
MODEL = ModelSettings("shuffle_unet", {"channels": [8], "blocks": [1]})
NO_CHANGE = AugmentSettings(flip=False, rot90=False, scale=0, shift=0, noise=0)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blobs(n=20, shape=(32, 32, 32)):
    """Bright cubes of one class in weak noise."""
    rng = np.random.default_rng(0)
    volume = 0.2 * rng.standard_normal(shape).astype(np.float32)
    centres = rng.integers(4, 28, (n, 3))
    for z, y, x in centres:
        volume[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 4
    return TrainingRun(volume, centres.astype(float), np.zeros(n, np.int64), np.full((1, 3), 2.0))


def train(tmp_path, runs=None, model=MODEL, loss=None, crop=(16, 16, 16), **optimizer):
    values = {"steps": 3, "batch_size": 2, "precision": "fp32", "accelerator": "cpu"} | optimizer
    settings = DetectorTrainSettings(OptimizerSettings(**values), list(crop))
    return train_detector(
        runs or [blobs()], 1, model, loss or LossSettings(), NO_CHANGE, settings, tmp_path
    )


def test_a_run_in_voxels():
    tomogram = Tomogram(np.zeros((4, 5, 6), np.float32), (10.0, 20.0, 5.0), (-5.0, 0.0, 2.5), "r")
    truth = Picks([[5, 40, 12.5]], [1])
    run = training_run(tomogram, truth, TYPES, TargetSettings())
    np.testing.assert_allclose(run.centres, [[1, 2, 2]])
    assert run.classes.tolist() == [1]
    # 0.3 radii, 15 Å at least: 15 and 30 Å
    np.testing.assert_allclose(run.sigmas, [[1.5, 0.75, 3], [3, 1.5, 6]], rtol=1e-12)
    assert run.sigmas.dtype == np.float64
    assert run.name == "r"


def test_it_learns_to_see_bright_cubes(tmp_path):
    run = blobs()
    module, result = train(tmp_path, steps=60, learning_rate=0.02, ema_decay=0.9)
    assert result.steps == 60
    assert not module.training
    with torch.no_grad():
        heatmap = module(torch.from_numpy(run.volume)[None, None])[0, 0].numpy()
    at = tuple(np.round((run.centres - 0.5) / 2).astype(int).T)
    assert heatmap[at].mean() > np.quantile(heatmap, 0.5) + 0.3


def test_the_seed_decides(tmp_path):
    first = build_detector(MODEL, 1, 3).state_dict()
    torch.rand(5)
    again, other = (
        build_detector(MODEL, 1, 3).state_dict(),
        build_detector(MODEL, 1, 4).state_dict(),
    )
    assert all(torch.equal(v, again[k]) for k, v in first.items())
    assert not torch.equal(first["head.weight"], other["head.weight"])
    a, b = (train(tmp_path / n)[0].state_dict() for n in "ab")
    assert all(torch.equal(v, b[k]) for k, v in a.items())


def test_what_is_saved_says_what_it_is(tmp_path):
    module = build_detector(MODEL, 2, 0)
    save_network(tmp_path / "d", module, detector_spec(MODEL, TYPES, 10.0, ["r1"]))
    spec = load_network(tmp_path / "d", "detector.networks")[1]
    assert (spec.classes, spec.trained_on, spec.patch) == (("small", "large"), ("r1",), 0)
    assert output_stride(spec.network) == 2


@pytest.mark.parametrize("crop", [(16, 16, 18), (16, 16), (15, 16, 16), (16, 16, 16, 16)])
def test_a_crop_that_does_not_fit_is_refused(tmp_path, crop):
    with pytest.raises(ConfigError, match=r"train\.crop="):
        train(tmp_path, crop=crop, model=ModelSettings("shuffle_unet", {}))
    assert not any(tmp_path.iterdir())


def test_an_oblong_crop_trains(tmp_path):
    assert train(tmp_path, crop=(16, 16, 32))[1].steps == 3


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (ModelSettings("unet_hlaf"), LossSettings(), "unet_half"),
        (ModelSettings("shuffle_unet", {"depth": 3}), LossSettings(), r"model\.params\.depth"),
        (MODEL, LossSettings("mse"), "weighted_mse"),
        (MODEL, LossSettings("weighted_mse", {"flor": 1}), "closest: floor"),
    ],
)
def test_unknown_parts_are_refused(tmp_path, model, loss, message):
    with pytest.raises(ConfigError, match=message):
        train(tmp_path, model=model, loss=loss)


def test_a_learning_rate_that_blows_up_is_said_to(tmp_path):
    with pytest.raises(ConfigError, match="diverged"):
        train(tmp_path, steps=400, learning_rate=1e30, weight_decay=0.0, warmup=0.0)


def test_auxiliary_outputs_are_weighed_against_pooled_targets():
    target = torch.zeros(1, 1, 4, 4, 4)
    target[0, 0, 1, 2, 3] = 1
    fine, coarse = torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 2, 2, 2)

    def mean_error(output, wanted, annotated):
        return (output - wanted).square().mean()

    found = batch_loss([fine, coarse], {"target": target}, mean_error, [0.5])
    assert found.item() == pytest.approx(1 / 64 + 0.5 / 8)
    perfect = batch_loss(target, {"target": target}, mean_error)
    assert perfect.item() == 0


@pytest.mark.parametrize("weights", [[], [1.0, 1.0]])
def test_auxiliary_weights_that_are_not_one_each_are_refused(weights):
    outputs = [torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 2, 2, 2)]
    with pytest.raises(ConfigError, match=r"loss\.auxiliary: expected 1 weight"):
        batch_loss(outputs, {"target": outputs[0]}, lambda o, t, a: o.sum(), weights)


def test_mixed_losses_are_shared_out():
    output = torch.zeros(2, 1, 2, 2, 2)
    batch = {
        "target": torch.full_like(output, 1.0), "other_target": torch.full_like(output, 2.0),
        "mix": torch.tensor([0.25]),
    }  # fmt: skip
    found = batch_loss(output, batch, lambda o, t, a: (o - t).square().mean())
    assert found.item() == pytest.approx(0.25 * 1 + 0.75 * 4)


def test_a_run_says_which_classes_it_has():
    tomogram = Tomogram(np.zeros((4, 4, 4), np.float32), (10.0, 10.0, 10.0), (0.0, 0.0, 0.0), "r")
    truth = Picks([[5, 5, 5]], [1])
    assert training_run(tomogram, truth, TYPES, TargetSettings()).annotated is None
    run = training_run(tomogram, truth, TYPES, TargetSettings(ignore_missing=True))
    assert run.annotated.tolist() == [False, True]
    np.testing.assert_allclose(run.radii, [4, 10])


def test_pretrained_weights_are_not_asked_for_again():
    model = ModelSettings("unet25d", {"backbone": "resnet34", "pretrained": True})
    assert detector_spec(model, TYPES, 10.0, []).params["pretrained"] is False
    assert model.params["pretrained"] is True


def test_parts_that_do_not_go_together_are_refused_before_anything_is_built(tmp_path):
    with pytest.raises(ConfigError, match=r"loss=cross_entropy is for networks that put out"):
        train(tmp_path, loss=LossSettings("cross_entropy"))
    assert not any(tmp_path.iterdir())

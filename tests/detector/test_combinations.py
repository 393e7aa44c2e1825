import pytest

from cryo_pick.errors import ConfigError
from cryo_pick.settings import AugmentSettings
from detector.combinations import check_training, network_output
from detector.settings import LossSettings, ModelSettings, TargetSettings

PLAIN = AugmentSettings()


def refusal(network="unet_full", loss="weighted_mse", kind="gaussian", mixup="none", **params):
    with pytest.raises(ConfigError) as caught:
        check_training(
            ModelSettings(network, params), TargetSettings(kind=kind), LossSettings(loss),
            AugmentSettings(mixup=mixup),
        )  # fmt: skip
    return str(caught.value)


def test_what_networks_put_out():
    assert network_output(ModelSettings("unet_full")) == "heatmap"
    assert network_output(ModelSettings("unet_full", {"softmax": True})) == "probabilities"
    assert network_output(ModelSettings("points_dynunet")) == "points"
    assert network_output(ModelSettings("shuffle_unet")) == "heatmap"


def test_cross_entropy_of_overlapping_gaussians_is_refused_by_name():
    text = refusal(loss="cross_entropy", softmax=True)
    assert "loss=cross_entropy does not go with target.kind=gaussian" in text
    assert "use sphere or voxel" in text


def test_a_loss_for_another_kind_of_output_is_refused_with_the_way_out():
    assert "set model.params.softmax=true" in refusal(loss="tversky_ce", kind="sphere")
    assert "set model.params.softmax=false" in refusal(softmax=True)
    assert "model=points_dynunet puts out points" in refusal("points_dynunet", kind="points")


def test_points_are_not_mixed():
    text = refusal("points_dynunet", "points", "points", mixup="targets")
    assert "augment.mixup=targets does not go with target.kind=points" in text


def test_every_problem_is_said_at_once():
    text = refusal("points_dynunet", "cross_entropy", "points", mixup="losses")
    assert text.startswith("settings: 3 problems")


@pytest.mark.parametrize("kind", ["gaussian", "sphere", "voxel", "slices"])
def test_squared_errors_take_any_heatmap(kind):
    for loss in ("weighted_mse", "balanced_mse"):
        check_training(
            ModelSettings("unet_full"), TargetSettings(kind=kind), LossSettings(loss), PLAIN
        )

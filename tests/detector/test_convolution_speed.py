"""What the ceilings of `bench` count."""

import pytest
import torch
from torch import nn

from detector import convolution_speed
from detector.convolution_speed import count_flops, own_convolutions

CPU = torch.device("cpu")


def network() -> nn.Module:
    """A convolution, one that is grouped, pooling, a linear layer on voxels."""
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, stride=2, padding=1), nn.MaxPool3d(2), nn.Conv3d(4, 4, 1, groups=2),
        nn.ConvTranspose3d(4, 2, 2, stride=2), nn.Flatten(2), nn.Linear(64, 8),
    )  # fmt: skip


def test_operations_are_those_of_the_convolutions():
    convolution = nn.Conv3d(3, 5, (1, 3, 3), padding=(0, 1, 1))
    assert count_flops(convolution, (2, 3, 4, 5, 6)) == 2 * (2 * 4 * 5 * 6) * 5 * 3 * 9


@pytest.mark.parametrize("backward", [False, True])
def test_every_layer_that_multiplies_is_timed_once(monkeypatch, backward):
    seen = []

    def count(run, repeats):
        layer, x = run.args[:2]
        seen.append((type(layer).__name__, tuple(x.shape)))
        run()
        assert all((p.grad is not None) == backward for p in layer.parameters())
        return 2.0

    monkeypatch.setattr(convolution_speed, "best_seconds", count)
    assert own_convolutions(network(), (1, 1, 8, 8, 8), CPU, "fp32", backward, 1) == 8.0
    assert seen == [
        ("Conv3d", (1, 1, 8, 8, 8)), ("Conv3d", (1, 4, 2, 2, 2)),
        ("ConvTranspose3d", (1, 4, 2, 2, 2)), ("Linear", (1, 2, 64)),
    ]  # fmt: skip


def test_openvino_counts_convolutions_only():
    pytest.importorskip("openvino")
    from detector.openvino_convert import converted
    from detector.openvino_models import convolution_seconds

    shape = (1, 1, 8, 8, 8)
    pooling = converted(nn.MaxPool3d(2), (torch.zeros(shape),))
    assert convolution_seconds(pooling, shape, "fp32", 2) == 0
    assert convolution_seconds(converted(network(), (torch.zeros(shape),)), shape, "fp32", 2) > 0

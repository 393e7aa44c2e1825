"""Weights for other classes: what was learnt of a class goes where that class is now."""

import pytest
import torch
from torch import nn

from cryo_pick.transplant import class_axes, transplant
from detector.networks import shuffle_unet, unet_half
from refiner.networks import patch_net

OLD = ("a", "b", "c")


def detector(kind):
    def build(n):
        if kind == "shuffle":
            return shuffle_unet.build(n, channels=(8,), blocks=(1,)).eval()
        return unet_half.build(n, stem=4, channels=(4, 4), strides=(2,), norm="BATCH").eval()

    return build


@pytest.mark.parametrize(
    ("kind", "new"),
    [
        ("shuffle", OLD),
        ("shuffle", ("c", "a")),
        ("shuffle", ("b",)),
        ("shuffle", ("d", "c", "b", "a", "e")),
        # Its last unit mixes classes, so what one is drawn like depends on the others.
        ("unet", OLD),
        ("unet", ("c", "a", "b")),
    ],
)
def test_each_known_class_is_drawn_as_before(kind, new):
    build = detector(kind)
    torch.manual_seed(0)
    trained, module = build(len(OLD)), build(len(new))
    done = transplant(module, trained.state_dict(), class_axes(build, len(new)), new, OLD)
    assert set(done.kept) == set(new) & set(OLD)
    assert set(done.fresh) == set(new) - set(OLD)
    assert set(done.dropped) == set(OLD) - set(new)
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        before, after = trained(image), module(image)
    for index, name in enumerate(new):
        if name in OLD:
            torch.testing.assert_close(after[:, index], before[:, OLD.index(name)])


@pytest.mark.parametrize("new", [OLD, ("c", "a", "b"), ("a", "x", "b", "c")])
def test_a_refiner_keeps_its_logits_where_new_classes_say_nothing(new):
    def build(n):
        return patch_net.build(n, channels=(8,), blocks=(1,)).eval()

    torch.manual_seed(0)
    trained, module = build(3), build(len(new))
    axes = class_axes(build, len(new))
    transplant(module, trained.state_dict(), axes, new, OLD)
    patch, heat, scores = torch.randn(2, 1, 8, 8, 8), torch.rand(2, 3, 4, 4, 4), torch.rand(2, 3)
    order = [OLD.index(n) if n in OLD else -1 for n in new]
    heats = torch.stack([heat[:, i] if i >= 0 else 0 * heat[:, 0] for i in order], 1)
    # A stage-1 score of one half has a logit of 0, so that a class unknown before adds nothing.
    half = torch.full_like(scores[:, 0], 0.5)
    stage1 = torch.stack([scores[:, i] if i >= 0 else half for i in order], 1)
    with torch.no_grad():
        before, moved_before = trained(patch, heat, scores)
        after, moved_after = module(patch, heats, stage1)
    torch.testing.assert_close(moved_after, moved_before)
    torch.testing.assert_close(after[:, -1], before[:, -1])  # none
    for index, old in enumerate(order):
        if old >= 0:
            torch.testing.assert_close(after[:, index], before[:, old])


def test_another_network_is_refused():
    build = detector("shuffle")
    wider = shuffle_unet.build(3, channels=(12,), blocks=(1,))
    with pytest.raises(ValueError, match="has shape"):
        transplant(build(3), wider.state_dict(), class_axes(build, 3), OLD, OLD)
    with pytest.raises(ValueError, match="only one of the networks"):
        transplant(build(3), nn.Conv3d(1, 1, 1).state_dict(), {}, OLD, OLD)


def test_looking_for_axes_draws_nothing():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert class_axes(detector("shuffle"), 2) == {"head.weight": {0: 8}, "head.bias": {0: 8}}
    assert torch.equal(torch.rand(2), expected)

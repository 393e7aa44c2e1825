import pytest
import torch

from detector.decoder import Decoder, shuffle_up
from detector.networks.shuffle_unet import unfold_blocks


def test_every_block_meets_the_next_finer_map_and_then_doubles():
    channels, reductions = [4, 6, 8], [(4, 4, 4), (8, 8, 8), (8, 16, 16)]
    decoder = Decoder(channels, reductions, [5, 7, 9, 11])
    assert decoder.reductions == [(8, 8, 8), (4, 4, 4), (2, 2, 2), (1, 1, 1)]
    features = [torch.randn(2, c, *(32 // r for r in rs)) for c, rs in zip(
        channels, reductions, strict=True)]  # fmt: skip
    outputs = decoder(features)
    assert [tuple(o.shape) for o in outputs] == [
        (2, 5, 4, 4, 4), (2, 7, 8, 8, 8), (2, 9, 16, 16, 16), (2, 11, 32, 32, 32)
    ]  # fmt: skip


def test_axes_that_are_fine_enough_stay():
    decoder = Decoder([4], [(2, 8, 8)], [4, 4], finest=2)
    assert decoder.reductions == [(2, 4, 4), (2, 2, 2)]


def test_a_width_too_many_is_refused():
    with pytest.raises(ValueError, match="fewer decoder widths"):
        Decoder([4], [(2, 4, 4)], [4, 4], finest=2)
    with pytest.raises(ValueError, match="fewer decoder widths"):
        Decoder([4, 4], [(2, 2, 2), (3, 3, 3)], [4])


def test_every_map_of_the_encoder_matters():
    decoder = Decoder([2, 2, 2], [(1, 1, 1), (2, 2, 2), (4, 4, 4)], [3, 3]).eval()
    features = [torch.randn(1, 2, n, n, n, requires_grad=True) for n in (8, 4, 2)]
    decoder(features)[-1].sum().backward()
    assert all(f.grad.abs().sum() > 0 for f in features)


def test_shuffling_up_by_equal_factors_is_the_unfolding_of_blocks():
    x = torch.randn(2, 3 * 8, 2, 3, 4)
    assert torch.equal(shuffle_up(x, (2, 2, 2)), unfold_blocks(x, 2))


def test_shuffling_up_by_unequal_factors():
    x = torch.arange(2.0 * 1 * 6).reshape(1, 6, 1, 1, 2)  # one class, blocks of 1x2x3
    up = shuffle_up(x, (1, 2, 3))
    assert up.shape == (1, 1, 1, 2, 6)
    assert up[0, 0, 0, :, :3].ravel().tolist() == [0, 2, 4, 6, 8, 10]  # the first cell's channels

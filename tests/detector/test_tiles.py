import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.tiles import (
    MAX_OVERLAP,
    blend_weights,
    default_overlap,
    largest_tile,
    middle_box,
    round_up,
    tile_slices,
    tile_starts,
)


@st.composite
def axes(draw):
    stride = draw(st.sampled_from([1, 2, 3, 4, 8]))
    tile = stride * draw(st.integers(1, 12))
    overlap = draw(st.integers(0, tile - 1))
    return draw(st.integers(1, 300)), tile, overlap, stride


@given(axes())
def test_tiles_of_any_axis_cover_it_aligned_and_overlapping(axis):
    length, tile, overlap, stride = axis
    starts = np.array(tile_starts(length, tile, overlap, stride))
    padded = round_up(max(length, tile), stride)
    assert starts[0] == 0
    assert starts[-1] + tile == padded
    assert (starts % stride == 0).all()
    gaps = np.diff(starts)
    assert (gaps > 0).all()
    assert (gaps <= max(tile - overlap, stride)).all()


@given(axes())
def test_weights_of_any_axis_are_positive_and_sum_to_one_everywhere(axis):
    length, tile, overlap, stride = axis
    starts = [s // stride for s in tile_starts(length, tile, overlap, stride)]
    weights = blend_weights(starts, tile // stride)
    total = np.zeros(starts[-1] + tile // stride)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + len(weight)] += weight
    assert weights.min() > 0
    assert weights.dtype == np.float32
    # float32 rounds each of at most 24 summands by 6e-8 of its size
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_the_middle_box_is_central_and_of_multiples():
    assert middle_box((50, 100, 31), (32, 96, 96), (8, 16, 16)) == (
        slice(9, 41), slice(2, 98), slice(7, 23)
    )  # fmt: skip
    assert middle_box((50, 100, 15), (32, 96, 96), (8, 16, 16)) is None


def test_no_more_tiles_than_needed():
    assert tile_starts(630, 336, 32, 8) == [0, 296]
    assert tile_starts(640, 336, 32, 8) == [0, 304]
    assert tile_starts(648, 336, 32, 8) == [0, 152, 312]
    assert tile_starts(10, 64, 32, 8) == [0]


def test_weights_of_two_tiles_are_a_cross_fade():
    weights = blend_weights([0, 4], 6)
    # ramps of 3/4 and 1/4, each to the power of 8, over their sum
    far, near = 3**8 / (3**8 + 1), 1 / (3**8 + 1)
    np.testing.assert_allclose(weights[0], [1, 1, 1, 1, far, near])
    np.testing.assert_allclose(weights[1], [near, far, 1, 1, 1, 1])


def test_every_voxel_of_a_volume_is_in_a_tile():
    shape = (13, 29, 40)
    seen = np.zeros([round_up(n, 4) for n in shape], int)
    slices = tile_slices(shape, (8, 16, 64), (3, 4, 5), 4)
    seen = np.zeros((16, 32, 64), int)
    for tile in slices:
        assert seen[tile].shape == (8, 16, 64)
        seen[tile] += 1
    assert seen.min() >= 1
    assert slices == sorted(slices, key=lambda s: tuple(part.start for part in s))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8, 0, 2), "above 0"),
        ((10, 9, 0, 2), "a multiple of `stride`"),
        ((10, 8, 8, 2), "from 0 to below 8, but got 8"),
        ((10, 8, -1, 2), "from 0 to below 8, but got -1"),
    ],
)
def test_bad_lengths_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tile_starts(*arguments)


def test_tiles_with_a_gap_are_refused():
    with pytest.raises(ValueError, match="at most 4 cells apart"):
        blend_weights([0, 5], 4)


def test_overlap_follows_the_receptive_field_up_to_a_limit():
    assert default_overlap((31, 1, 500), 8) == (32, 0, MAX_OVERLAP)


def test_the_whole_volume_is_the_largest_tile_where_memory_allows():
    assert largest_tile((184, 630, 630), (32, 32, 32), 8, 1e12, 40.0) == (184, 632, 632)
    assert largest_tile((3, 630, 630), (32, 32, 32), 8, 1e12, 40.0) == (16, 632, 632)


@given(
    st.tuples(*[st.integers(1, 700)] * 3),
    st.floats(1e5, 1e9),
    st.sampled_from([2, 8, 16]),
    st.sampled_from([0, 16, 32]),
)
def test_the_largest_tile_obeys_memory_and_cuts_no_finer_than_needed(
    shape, memory, multiple, overlap
):
    tile = largest_tile(shape, (overlap,) * 3, multiple, memory, 10.0, 100.0)
    if tile is None:
        least = np.prod([max(2 * multiple, min(2 * overlap, round_up(n, multiple))) for n in shape])
        assert 10.0 * least + 100.0 * 2 * multiple > memory / 8  # at most 8 times too careful
        return
    assert 10.0 * np.prod(tile) + 100.0 * tile[0] <= memory
    assert all(t % multiple == 0 for t in tile)
    assert all(
        t >= 2 * overlap or t == max(round_up(n, multiple), 2 * multiple)
        for t, n in zip(tile, shape, strict=True)
    )


def test_a_large_volume_is_cut_so_that_little_is_evaluated_twice():
    shape, overlap = (184, 630, 630), (32, 32, 32)
    tile = largest_tile(shape, overlap, 8, 2e9, 45.0)
    assert tile is not None
    n_tiles = len(tile_slices(shape, tile, overlap, 8))
    assert n_tiles * np.prod(tile) / np.prod(shape) < 1.1

"""Patches that are cut block by block are those that are cut one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refiner.blocks import BlockReader, block_edges, block_order
from refiner.patches import cut_patches


class Counting:
    """Slices like an array, and remembers what was read."""

    def __init__(self, array):
        self.array, self.shape, self.sizes = array, array.shape, []

    def __getitem__(self, index):
        part = self.array[index]
        self.sizes.append(part.size)
        return part


@given(
    st.tuples(*[st.integers(1, 30)] * 3),
    st.tuples(*[st.integers(1, 20)] * 3),
    st.lists(st.tuples(*[st.integers(-20, 40)] * 3), min_size=1, max_size=20),
    st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_every_patch_is_the_one_cut_from_the_whole(shape, edges, starts, batch):
    volume = np.random.default_rng(0).random((2, *shape), np.float32)
    at, size = np.array(starts), 6
    order = block_order(at, np.array(edges))
    reader = BlockReader(volume, np.array(edges), size)
    got = [reader.cut(at[order[i : i + batch]]) for i in range(0, len(at), batch)]
    np.testing.assert_array_equal(np.concatenate(got), cut_patches(volume, at[order], size))


def test_a_block_is_read_once_and_no_more_than_its_patches_reach():
    volume = Counting(np.zeros((40, 40, 40), np.float32))
    edges, size = np.array([10, 20, 20]), 4
    at = np.random.default_rng(1).integers(0, 36, (200, 3))
    order = block_order(at, edges)
    reader = BlockReader(volume, edges, size)
    for i in range(0, 200, 16):
        reader.cut(at[order[i : i + 16]])
    assert len(volume.sizes) == 4 * 2 * 2
    assert max(volume.sizes) <= 14 * 24 * 24


def test_blocks_are_as_large_as_the_memory_allows():
    shape, patch = (184, 630, 630), 40
    roomy = block_edges(shape, patch, 1e9, 4.0)
    assert roomy.tolist() == [64, 630, 630]
    tight = block_edges(shape, patch, 20e6, 4.0)
    assert np.prod(tight + patch) * 4 <= 20e6 < np.prod(roomy + patch) * 4
    assert block_edges(shape, patch, 1.0, 4.0).min() >= 1

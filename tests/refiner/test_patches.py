import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.heatmap import heatmap_to_voxel_index
from refiner.patches import cut_patches, patch_starts

STARTS = st.lists(st.tuples(*[st.integers(-9, 12)] * 3), max_size=5)


@settings(max_examples=50)
@given(STARTS, st.integers(1, 8), st.booleans())
def test_against_padding_the_whole_volume(starts, size, channels):
    shape = (2, 5, 6, 7) if channels else (5, 6, 7)
    volume = np.random.default_rng(0).random(shape).astype(np.float16)
    padded = np.pad(volume, [(0, 0)] * (len(shape) - 3) + [(9, 20)] * 3)
    found = cut_patches(volume, np.array(starts, int).reshape(-1, 3), size)
    assert found.shape == (len(starts), *shape[:-3], size, size, size)
    assert found.dtype == np.float32
    for patch, start in zip(found, starts, strict=True):
        box = tuple(slice(s + 9, s + 9 + size) for s in start)
        np.testing.assert_array_equal(patch, padded[(..., *box)])


def test_a_candidate_at_the_border_is_padded_and_not_dropped():
    volume = np.ones((10, 10, 10), np.float32)
    patch = cut_patches(volume, patch_starts(np.zeros((1, 3)), 8, 2), 8)
    assert patch.shape == (1, 8, 8, 8)
    assert patch.sum() == 4**3


@given(st.tuples(*[st.floats(-20, 200)] * 3), st.sampled_from([1, 2, 4]), st.integers(1, 6))
def test_patch_and_heatmap_cover_the_same_space_around_the_centre(centre, stride, cells):
    size = cells * stride
    start = patch_starts(np.array([centre]), size, stride)[0]
    assert (start % stride == 0).all()
    middle = start + (size - 1) / 2
    assert (np.abs(middle - centre) <= stride / 2 + 1e-9).all()
    first = heatmap_to_voxel_index(start // stride, stride)
    np.testing.assert_allclose(first, start + (stride - 1) / 2)

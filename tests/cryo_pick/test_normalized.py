import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.normalized import NormalizedVolume, is_in_memory
from cryo_pick.tomogram import Tomogram


class Counting:
    """A volume that counts the voxels that are read from it."""

    def __init__(self, array):
        self.array, self.shape, self.read = array, array.shape, 0

    def __getitem__(self, index):
        part = self.array[index]
        self.read += part.size
        return part


@pytest.fixture
def stored():
    return np.random.default_rng(0).normal(100, 7, (12, 10, 8)).astype(np.float16)


@pytest.mark.parametrize(
    "index",
    [np.s_[:], np.s_[2:5, :, 3], np.s_[..., 1:3], np.s_[0, 0, 0:1], np.s_[::2, ::3, ::-1]],
)
def test_a_slice_is_the_slice_of_the_normalised_whole(stored, index):
    statistics = intensity_statistics(stored)
    found = NormalizedVolume(stored, statistics)[index]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, normalize(stored, statistics)[index])


def test_a_crop_reads_its_own_voxels_only(stored):
    counting = Counting(stored)
    view = NormalizedVolume(counting, intensity_statistics(stored))
    assert view[1:3, 2:5, 0:4].shape == (2, 3, 4)
    assert counting.read == 24


def test_it_serves_as_the_volume_of_a_tomogram(stored):
    view = NormalizedVolume(stored, intensity_statistics(stored))
    tomogram = Tomogram(view, (1.0, 1.0, 1.0))
    assert tomogram.shape == view.shape == (12, 10, 8)
    assert view.size == stored.size
    assert view.dtype == tomogram.array().dtype
    assert np.median(tomogram.array()) == pytest.approx(0, abs=0.02)


def test_a_voxel_that_is_no_number_is_refused_where_it_is_read(stored):
    statistics = intensity_statistics(stored)
    stored[0, 0, 0] = np.nan
    view = NormalizedVolume(stored, statistics)
    assert view[1:].shape == (11, 10, 8)
    with pytest.raises(InputError, match="1 of"):
        view[:1]


def test_what_is_in_memory_is_known(stored, tmp_path):
    statistics = intensity_statistics(stored)
    assert is_in_memory(stored)
    assert is_in_memory(NormalizedVolume(stored, statistics))
    np.save(tmp_path / "stored.npy", stored)
    mapped = np.load(tmp_path / "stored.npy", mmap_mode="r")
    for volume in (mapped, Counting(stored)):
        assert not is_in_memory(volume)
        assert not is_in_memory(NormalizedVolume(volume, statistics))

"""Boxes of volumes in files: the right voxels, as copies, with nothing left mapped."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick import mapped
from cryo_pick.errors import InputError
from cryo_pick.mapped import MappedVolume, is_whole_map, read_box

SHAPE = (7, 5, 6)
VOXELS = np.arange(np.prod(SHAPE)).reshape(SHAPE)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A header of 10 bytes, then big-endian int16."""
    file = tmp_path_factory.mktemp("mapped") / "volume.bin"
    file.write_bytes(b"0123456789" + VOXELS.astype(">i2").tobytes())
    return file


def opened(path: Path) -> MappedVolume:
    return MappedVolume(np.memmap(path, ">i2", "r", 10, SHAPE))


bounds = st.tuples(st.integers(-8, 9) | st.none(), st.integers(-8, 9) | st.none())


@given(st.lists(bounds, min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_box_is_what_numpy_would_cut(path, box):
    slices = tuple(slice(a, b) for a, b in box)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_PLANES_BYTES", 130)  # two planes at a time
        got = read_box(str(path), np.dtype(">i2"), 10, SHAPE, slices)
    np.testing.assert_array_equal(got, VOXELS[slices])
    assert got.dtype == np.dtype("int16")


@pytest.mark.parametrize(
    "index", [np.s_[:], np.s_[2], np.s_[1:3], np.s_[::2, 1:4, ::-1], np.s_[..., 3], np.s_[2:, :, 4]]
)
def test_a_mapped_volume_slices_like_an_array(path, index):
    volume = opened(path)
    assert volume.shape == SHAPE
    got = volume[index]
    np.testing.assert_array_equal(got, VOXELS[index])
    assert not isinstance(got, np.memmap)


def test_nothing_stays_mapped(path):
    def maps() -> int:
        return Path("/proc/self/maps").read_text().count(path.name)

    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not list its maps")
    volume = opened(path)
    before = maps()
    part = volume[1:4]
    assert maps() == before
    assert part.sum() == VOXELS[1:4].sum()


def test_a_file_cut_short_is_named(path, tmp_path):
    copy = tmp_path / "short.bin"
    copy.write_bytes(path.read_bytes())
    volume = opened(copy)
    copy.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"short\.bin: can't read its voxels"):
        volume[:]


def test_only_a_map_as_it_was_made_is_a_whole_map(path):
    whole = np.memmap(path, ">i2", "r", 10, SHAPE)
    assert is_whole_map(whole)
    assert not is_whole_map(whole[1:])
    assert not is_whole_map(np.array(whole))

"""A spooled volume gives the voxels of the array that it was decoded from, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.location import Location
from cryo_pick.formats.zarr_volume import ZarrVolume, open_volume
from cryo_pick.spooled import SpooledVolume


def stored(
    folder: Path, voxels: np.ndarray, chunks: tuple[int, int, int], shards: bool = False
) -> ZarrVolume:
    array = zarr.create_array(
        str(folder), shape=voxels.shape, dtype=voxels.dtype, chunks=chunks, overwrite=True,
        shards=tuple(2 * c for c in chunks) if shards else None,
    )  # fmt: skip
    array[:] = voxels
    return open_volume(Location.of(str(folder)), "run 'r'")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    chunks=st.tuples(*[st.integers(4, 9)] * 3),
    dtype=st.sampled_from(["<f4", ">f4", "i1", "<u2", "f2"]),
    at_once=st.integers(1, 10_000),
    shards=st.booleans(),
)
def test_every_voxel_is_where_it_was(tmp_path, shape, chunks, dtype, at_once, shards):
    rng = np.random.default_rng(0)
    voxels = rng.integers(-100, 100, shape).astype(dtype)
    folder = tmp_path / "spool"
    folder.mkdir(exist_ok=True)
    with SpooledVolume(stored(tmp_path / "v.zarr", voxels, chunks, shards), folder, at_once) as got:
        assert got.shape == shape
        assert got.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(got[:, :, :], voxels)
        box = tuple(slice(n // 3, n // 3 + 5) for n in shape)
        np.testing.assert_array_equal(got[box], voxels[box])
        np.testing.assert_array_equal(got[::2, -1, 1:], voxels[::2, -1, 1:])
        assert not list(folder.iterdir())  # the file has no name


@pytest.mark.parametrize("shards", [False, True])
def test_no_more_is_decoded_at_once_than_asked_for(tmp_path, monkeypatch, shards):
    volume = stored(tmp_path / "v.zarr", np.ones((16, 16, 32), np.float32), (4, 4, 4), shards)
    seen = []
    read = ZarrVolume.__getitem__

    def look(self, index):
        got = read(self, index)
        seen.append(got.nbytes)
        return got

    monkeypatch.setattr(ZarrVolume, "__getitem__", look)
    with SpooledVolume(volume, tmp_path, 3 * 4**4):
        assert max(seen) == 3 * 4**4  # three chunks of 4 * 4 * 4 float32, of eight in a row
    assert sum(seen) == 4 * 16 * 16 * 32


def test_a_damaged_chunk_is_named_and_leaves_no_file_open(tmp_path):
    volume = stored(tmp_path / "v.zarr", np.ones((8, 8, 8), np.float32), (4, 4, 4))
    chunk = next(p for p in (tmp_path / "v.zarr" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(b"nothing")
    with pytest.raises(InputError, match="run 'r'"):
        SpooledVolume(volume, tmp_path, 1000)

"""A volume that can't be read leaves nothing behind that would fail when the process ends."""

import asyncio
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.core import sync

from cryo_pick.errors import InputError
from cryo_pick.formats import zarr_loop
from cryo_pick.formats.location import Location
from cryo_pick.formats.zarr_volume import open_volume


def test_what_zarr_still_does_is_cancelled() -> None:
    began = threading.Event()

    async def read() -> None:
        began.set()
        await asyncio.sleep(60)

    zarr.open_array({}, shape=(2,), chunks=(1,), dtype="f4", mode="w")[:]  # the loop runs now
    loop = sync.loop[0]
    assert loop is not None
    reading = asyncio.run_coroutine_threadsafe(read(), loop)
    assert began.wait(10)
    zarr_loop._stop()
    with pytest.raises(CancelledError):
        reading.result(10)
    array = zarr.open_array({}, shape=(2,), chunks=(1,), dtype="f4", mode="w")
    array[:] = 3
    np.testing.assert_array_equal(array[:], [3, 3])  # it goes on for those who need it


def test_a_failed_read_is_followed_by_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="f4", zarr_format=2,
        compressors=numcodecs.Zstd(),
    )  # fmt: skip
    array[:] = 1.0
    registered: list[object] = []
    monkeypatch.setattr(zarr_loop.atexit, "register", registered.append)
    volume = open_volume(Location.of(tmp_path / "a"), "run 'TS_1'")
    assert (volume[:] == 1).all()
    assert not registered
    (tmp_path / "a" / "1.1.1").write_bytes(b"no zstd")
    with pytest.raises(InputError, match="run 'TS_1': can't read the voxels"):
        volume[:]
    assert registered == [zarr_loop._stop]

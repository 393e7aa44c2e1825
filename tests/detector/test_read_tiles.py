"""Tiles as they are read: mirrored as numpy does it, in memory that is used again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.normalize import intensity_statistics, normalize
from cryo_pick.normalized import NormalizedVolume
from detector.read_tiles import read_tile, tiles_read_ahead
from detector.tile_plan import TilePlan

three = st.tuples(*[st.integers(1, 6)] * 3)


@given(three, three, st.tuples(*[st.integers(1, 14)] * 3), st.integers(1, 3))
def test_a_tile_beyond_the_volume_is_what_numpy_pads(
    shape: tuple[int, ...], start: tuple[int, ...], tile: tuple[int, ...], threads: int
) -> None:
    volume = np.random.default_rng(0).standard_normal(shape, np.float32)
    z, y, x = (min(s, n) - 1 for s, n in zip(start, shape, strict=True))
    inside = volume[z : z + tile[0], y : y + tile[1], x : x + tile[2]]
    missing = [(0, t - n) for t, n in zip(tile, inside.shape, strict=True)]
    expected = np.pad(inside, missing, "reflect")
    used = np.full(tile, np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cryo_pick.threads.compute_threads", lambda: threads)
        assert read_tile(volume, (z, y, x), (tile[0], tile[1], tile[2]), None, used) is used
    np.testing.assert_array_equal(used, expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_piece_counts_what_is_no_number(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr("cryo_pick.threads.compute_threads", lambda: threads)
    volume = np.zeros((6, 4, 4), np.float32)
    volume[1, 2, 3], volume[4, :2, 0] = np.inf, np.nan
    with pytest.raises(InputError, match="3 of 96 voxels from z, y, x = "):
        read_tile(volume, (0, 0, 0), (6, 4, 4))


def test_a_volume_that_normalises_itself_is_read_in_place() -> None:
    volume = np.random.default_rng(0).normal(5, 3, (6, 8, 10)).astype(np.float32)
    statistics = intensity_statistics(volume)
    tile = read_tile(NormalizedVolume(volume, statistics), (1, 2, 3), (5, 6, 7))
    np.testing.assert_array_equal(tile, normalize(volume, statistics)[1:6, 2:8, 3:10])


def test_no_more_than_two_tiles_are_in_memory() -> None:
    volume = np.arange(4 * 4 * 12, dtype=np.float32).reshape(4, 4, 12)
    plan = TilePlan((4, 4, 12), (4, 4, 4), ([0], [0], [0, 2, 4, 6, 8]), 2)
    seen = []
    for (_, _, i), tile in tiles_read_ahead(volume, plan, None):
        start = plan.starts[2][i]
        np.testing.assert_array_equal(tile, volume[:, :, start : start + 4])
        seen.append(tile.ctypes.data)
    assert len(seen) == 5
    assert len(set(seen)) == 2

"""Volumes are decoded once, by content, and never half."""

import json
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest

from cryo_pick import cache
from cryo_pick.cache import (
    cached_tomogram,
    check_finite,
    content_key,
    default_cache_folder,
    file_key,
    stored_key,
)
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.ome_zarr import open_ome_zarr, write_ome_zarr
from cryo_pick.tomogram import Tomogram


def noise(shape: tuple[int, int, int] = (20, 30, 40)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def tomogram(location: str | Path) -> Tomogram:
    image = open_ome_zarr(location, run="TS_1")
    return Tomogram(image.array, image.voxel_spacing, (1, 2, 3), "TS_1", "wbp")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume of several chunks."""
    monkeypatch.setattr("cryo_pick.formats.ome_zarr.CHUNK", 16)
    write_ome_zarr(tmp_path / "v.zarr", noise(), 10.012, levels=1)
    return tmp_path / "v.zarr"


def entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_volume_is_a_read_only_map_of_the_same_voxels(path: Path, tmp_path: Path) -> None:
    cached = cached_tomogram(tomogram(path), tmp_path / "cache")
    assert isinstance(cached.volume, np.memmap)
    assert cached.volume.dtype == np.float32
    assert cached.volume.flags.c_contiguous
    assert not cached.volume.flags.writeable
    np.testing.assert_array_equal(cached.volume, noise())
    assert (cached.run, cached.tomo_type, cached.origin) == ("TS_1", "wbp", (1, 2, 3))
    assert cached.voxel_spacing == (10.012, 10.012, 10.012)
    assert entries(tmp_path / "cache") == [f"{content_key(tomogram(path).volume)}.npy"]


def test_the_second_time_nothing_is_decoded(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_tomogram(tomogram(path), tmp_path / "cache").volume
    monkeypatch.setattr(cache, "_decode", lambda *_: pytest.fail("decoded again"))
    again = cached_tomogram(tomogram(path), tmp_path / "cache").volume
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("dtype", ["int8", "uint16", ">f4", "float64", "float16"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_any_stored_type_becomes_float32(tmp_path: Path, dtype: str, version: str) -> None:
    volume = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(dtype)
    write_ome_zarr(tmp_path / "v.zarr", volume, 10, version=version)
    cached = cached_tomogram(tomogram(tmp_path / "v.zarr"), tmp_path / "cache")
    np.testing.assert_array_equal(cached.volume, volume.astype(np.float32))


class TestKey:
    """The key is the content's."""

    def test_a_copy_has_the_same(self, path: Path, tmp_path: Path) -> None:
        shutil.copytree(path, tmp_path / "w.zarr")
        assert content_key(tomogram(path).volume) == content_key(
            tomogram(tmp_path / "w.zarr").volume
        )

    def test_any_change_gives_another(self, path: Path) -> None:
        before = content_key(tomogram(path).volume)
        chunk = path / "0/1/1/2"
        content = bytearray(chunk.read_bytes())
        content[-1] ^= 1
        chunk.write_bytes(content)
        changed = content_key(tomogram(path).volume)
        metadata = json.loads((path / "0/.zarray").read_text())
        (path / "0/.zarray").write_text(json.dumps(metadata | {"fill_value": 1.0}))
        assert len({before, changed, content_key(tomogram(path).volume)}) == 3

    def test_two_chunks_that_changed_places_give_another(self, path: Path) -> None:
        before = content_key(tomogram(path).volume)
        one, other = path / "0/0/0/0", path / "0/0/0/1"
        first = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(first)
        assert content_key(tomogram(path).volume) != before


class TestDamage:
    """What is broken is named, or made anew."""

    @pytest.mark.parametrize("content", [b"", b"x", b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16])
    def test_a_broken_cache_file_is_made_anew(
        self, path: Path, tmp_path: Path, content: bytes
    ) -> None:
        folder = tmp_path / "cache"
        cached_tomogram(tomogram(path), folder)
        (folder / entries(folder)[0]).write_bytes(content)
        np.testing.assert_array_equal(cached_tomogram(tomogram(path), folder).volume, noise())

    @pytest.mark.parametrize("keep", [-1, 1])
    def test_a_short_or_long_cache_file_is_made_anew(
        self, path: Path, tmp_path: Path, keep: int
    ) -> None:
        folder = tmp_path / "cache"
        cached_tomogram(tomogram(path), folder)
        file = folder / entries(folder)[0]
        content = file.read_bytes()
        file.write_bytes(content[:keep] if keep < 0 else content + bytes(keep))
        np.testing.assert_array_equal(cached_tomogram(tomogram(path), folder).volume, noise())
        assert file.read_bytes() == content

    def test_another_shape_is_made_anew(self, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "cache"
        cached_tomogram(tomogram(path), folder)
        np.save(folder / entries(folder)[0], noise((2, 3, 4)))
        np.testing.assert_array_equal(cached_tomogram(tomogram(path), folder).volume, noise())

    def test_a_missing_chunk(self, path: Path, tmp_path: Path) -> None:
        (path / "0/1/0/2").unlink()
        with pytest.raises(InputError, match=r"run 'TS_1': .*1 of 12 chunk files.*is 1/0/2"):
            cached_tomogram(tomogram(path), tmp_path / "cache")
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("keep", [0, 5, -3])
    def test_a_chunk_cut_short(self, path: Path, tmp_path: Path, keep: int) -> None:
        chunk = path / "0/1/0/2"
        chunk.write_bytes(chunk.read_bytes()[:keep])
        with pytest.raises(InputError, match=r"run 'TS_1': .*v\.zarr"):
            cached_tomogram(tomogram(path), tmp_path / "cache")
        assert not (tmp_path / "cache").exists() or entries(tmp_path / "cache") == []

    def test_values_that_are_none_are_counted(self, tmp_path: Path) -> None:
        volume = noise()
        volume[3, 4, 5:9] = np.nan
        volume[9, 9, 9] = np.inf
        write_ome_zarr(tmp_path / "v.zarr", volume, 10)
        message = r"run 'TS_1': .*v\.zarr: 5 of 24000 voxels are NaN or infinite"
        with pytest.raises(InputError, match=message):
            cached_tomogram(tomogram(tmp_path / "v.zarr"), tmp_path / "cache")
        assert entries(tmp_path / "cache") == []

    def test_a_folder_that_cannot_be_written(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(ConfigError, match=r"can't use the cache .*choose .*data\.cache=DIR"):
            cached_tomogram(tomogram(path), tmp_path / "file/cache")

    def test_a_cache_file_that_cannot_be_read(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "cache" / f"{content_key(tomogram(path).volume)}.npy").mkdir(parents=True)
        with pytest.raises(ConfigError, match=r"can't use the cache .*Is a directory"):
            cached_tomogram(tomogram(path), tmp_path / "cache")

    def test_a_full_disk(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache.os, "posix_fallocate", full)
        with pytest.raises(ConfigError, match="No space left on device"):
            cached_tomogram(tomogram(path), tmp_path / "cache")
        assert entries(tmp_path / "cache") == []

    def test_a_disk_that_cannot_reserve_space(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_: int) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(cache.os, "posix_fallocate", unknown)
        cached = cached_tomogram(tomogram(path), tmp_path / "cache")
        np.testing.assert_array_equal(cached.volume, noise())


def test_writers_at_the_same_time_do_no_harm(path: Path, tmp_path: Path) -> None:
    ready = threading.Barrier(4)

    def write(_: int) -> np.ndarray:
        ready.wait(10)
        return cached_tomogram(tomogram(path), tmp_path / "cache").volume

    with ThreadPoolExecutor(4) as pool:
        for volume in pool.map(write, range(4)):
            np.testing.assert_array_equal(volume, noise())
    assert len(entries(tmp_path / "cache")) == 1


def test_a_remote_volume_has_the_key_of_its_copy(path: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(path), "/cache-test/v.zarr", recursive=True)
    try:
        remote = tomogram("memory://cache-test/v.zarr")
        assert content_key(remote.volume) == content_key(tomogram(path).volume)
        cached = cached_tomogram(remote, tmp_path / "cache")
        np.testing.assert_array_equal(cached.volume, noise())
        memory.rm("/cache-test/v.zarr/0/1/0/2")
        with pytest.raises(InputError, match=r"run 'TS_1': .*0/1/0/2: no such file"):
            cached_tomogram(tomogram("memory://cache-test/v.zarr"), tmp_path / "cache")
    finally:
        memory.rm("/cache-test", recursive=True)


def test_other_volumes_are_checked_and_kept(tmp_path: Path) -> None:
    plain = Tomogram(noise(), (10, 10, 10), run="TS_1")
    assert cached_tomogram(plain, tmp_path / "cache") is plain
    assert not (tmp_path / "cache").exists()
    whole_numbers = np.ones((3, 4, 5), np.int16)
    check_finite(whole_numbers, "here")
    bad = noise()
    bad[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="run 'TS_1': 1 of 24000 voxels are NaN or infinite"):
        cached_tomogram(Tomogram(bad, (10, 10, 10), run="TS_1"))


def test_the_key_is_the_same_before_and_after_decoding_and_changes_with_the_voxels(
    path: Path, tmp_path: Path
) -> None:
    stored = tomogram(path)
    key = stored_key(stored)
    assert key == stored_key(cached_tomogram(stored, tmp_path / "c")) == content_key(stored.volume)
    changed = noise()
    changed[3, 4, 5] += 1
    write_ome_zarr(tmp_path / "changed.zarr", changed, 10.0)
    assert stored_key(tomogram(tmp_path / "changed.zarr")) != key
    in_memory = [Tomogram(v, (10.0,) * 3, (0.0,) * 3, "r") for v in (noise(), noise(), changed)]
    keys = [stored_key(t) for t in in_memory]
    assert keys[0] == keys[1] != keys[2]


def test_the_key_of_the_files_changes_when_they_do(path: Path, tmp_path: Path) -> None:
    def key() -> str:
        return file_key(tomogram(path))

    before = key()
    moved = tmp_path / "moved.zarr"
    path.rename(moved)
    assert file_key(tomogram(moved)) == before
    moved.rename(path)
    chunk = path / "0" / next(iter(tomogram(path).volume.chunk_names()))
    content, about = chunk.read_bytes(), chunk.stat()
    chunk.write_bytes(content)
    os.utime(chunk, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    touched = key()
    assert touched != before
    chunk.write_bytes(content + b"0")
    os.utime(chunk, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert key() not in (before, touched)
    chunk.write_bytes(content)
    os.utime(chunk, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert key() == before
    chunk.unlink()
    with pytest.raises(InputError, match="missing"):
        key()
    plain = Tomogram(noise(), (10.0,) * 3, (0.0,) * 3, "r")
    assert file_key(plain) == stored_key(plain)


def test_a_large_volume_is_checked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_BLOCK_BYTES", 4 * 30 * 40 * 3)
    bad = noise()
    bad[[0, 7, 19], 5, 5] = np.inf
    with pytest.raises(InputError, match="here: 3 of 24000 voxels"):
        check_finite(bad, "here")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CRYO_PICK_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/cryo-pick"),
        ({"HOME": "/h"}, "/h/.cache/cryo-pick"),
    ],
)
def test_the_default_folder(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("CRYO_PICK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_cache_folder() == Path(expected)


def test_the_default_folder_is_used(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYO_PICK_CACHE", str(tmp_path / "mine"))
    cached_tomogram(tomogram(path))
    assert len(entries(tmp_path / "mine")) == 1

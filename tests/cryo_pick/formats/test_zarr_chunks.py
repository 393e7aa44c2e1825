"""Chunks that are coded otherwise than numbers are, or that would expand too far, are not read."""

import contextlib
import json
import warnings
from pathlib import Path

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from cryo_pick.errors import InputError
from cryo_pick.formats.location import Location
from cryo_pick.formats.zarr_volume import open_volume

VOLUME = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
V2 = [
    {"compressors": numcodecs.Blosc()},
    {"compressors": numcodecs.Zstd()},
    {"compressors": numcodecs.GZip()},
    {"compressors": numcodecs.Zlib()},
    {"compressors": numcodecs.LZ4()},
    {"compressors": None},
    {"compressors": numcodecs.Zstd(), "filters": [numcodecs.Shuffle(4)]},
    {"compressors": numcodecs.Zstd(), "filters": [numcodecs.BitRound(keepbits=23)]},
]
V3 = [
    {"compressors": BloscCodec()},
    {"compressors": GzipCodec()},
    {"compressors": ZstdCodec()},
    {"compressors": None},
    {"compressors": ZstdCodec(checksum=True), "shards": (16, 16, 16)},
    {"compressors": GzipCodec(), "shards": (16, 8, 16)},
    {"compressors": None, "shards": (16, 16, 16)},
]


def _write(folder: Path, version: int = 2, chunks: tuple[int, ...] = (8, 8, 8), **coding) -> Path:
    array = zarr.create_array(
        folder / "a", shape=VOLUME.shape, dtype="f4", chunks=chunks, zarr_format=version, **coding
    )
    array[:] = VOLUME
    return folder / "a"


def _open(path: Path):
    return open_volume(Location.of(path), "run 'TS_1'")


def _chunk(path: Path) -> Path:
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] in "0123456789")[0]


@pytest.mark.parametrize(("version", "coding"), [(2, c) for c in V2] + [(3, c) for c in V3])
def test_the_codecs_of_tomograms_are_read(tmp_path, version, coding):
    volume = _open(_write(tmp_path, version, **coding))
    np.testing.assert_array_equal(volume[:], VOLUME)
    np.testing.assert_array_equal(volume[3:5, 9, :], VOLUME[3:5, 9, :])
    volume.check_chunks()
    whole = np.full_like(VOLUME, np.nan)
    volume.read_into(whole)
    np.testing.assert_array_equal(whole, VOLUME)


BLOSC = [
    (2, {"compressors": numcodecs.Blosc()}),
    (2, {"compressors": numcodecs.Blosc(cname="zstd", shuffle=numcodecs.Blosc.BITSHUFFLE)}),
    (3, {"compressors": BloscCodec()}),
    (3, {"compressors": BloscCodec(cname="lz4", shuffle="noshuffle")}),
]


def _without_zarr(volume, monkeypatch) -> np.ndarray:
    """All voxels, where zarr may not decode any."""
    whole = np.full(volume.shape, 7, volume.dtype)
    with monkeypatch.context() as patched:
        patched.setattr(zarr.Array, "get_basic_selection", None)
        volume.read_into(whole)
    return whole


@pytest.mark.parametrize("chunks", [(8, 8, 8), (16, 16, 16), (5, 7, 16), (40, 3, 9)])
@pytest.mark.parametrize(("version", "coding"), BLOSC)
@pytest.mark.parametrize("threads", ["1", "3"])
def test_blosc_is_decoded_without_zarr(tmp_path, monkeypatch, version, coding, chunks, threads):
    monkeypatch.setattr("cryo_pick.threads.compute_threads", lambda: int(threads))
    volume = _open(_write(tmp_path, version, chunks, **coding))
    np.testing.assert_array_equal(_without_zarr(volume, monkeypatch), VOLUME)


@pytest.mark.parametrize("dtype", [">f4", "<i2", ">u2", "|i1", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blosc_of_other_types_and_orders(tmp_path, dtype, order):
    values = (VOLUME * 20).astype(dtype)
    array = zarr.create_array(
        tmp_path / "a", shape=values.shape, dtype=values.dtype, chunks=(8, 5, 7), zarr_format=2,
        compressors=numcodecs.Blosc(), order=order,
    )  # fmt: skip
    array[:] = values
    for out in (np.empty(values.shape, dtype), np.empty(values.shape, np.float32)):
        _open(tmp_path / "a").read_into(out)
        np.testing.assert_array_equal(out, values)


@pytest.mark.parametrize(("version", "coding"), BLOSC)
def test_what_is_no_whole_blosc_chunk_is_left_to_zarr(tmp_path, monkeypatch, version, coding):
    path = _write(tmp_path, version, **coding)
    chunk = _chunk(path)
    content, whole = chunk.read_bytes(), np.empty_like(VOLUME)
    chunk.unlink()  # zeros, then
    _open(path).read_into(whole)
    assert (whole[:8, :8, :8] == 0).all()
    np.testing.assert_array_equal(whole[8:], VOLUME[8:])
    for damaged in (content[:9], content[:-5], numcodecs.Blosc().encode(np.zeros(3, np.float32))):
        chunk.write_bytes(damaged)
        with pytest.raises(InputError, match="not callable"):
            _without_zarr(_open(path), monkeypatch)
    garbled = bytearray(content)
    garbled[-200:] = bytes(200)
    chunk.write_bytes(garbled)
    with contextlib.suppress(InputError):  # Blosc has no checksum, so it may not notice
        _open(path).read_into(whole)
    chunk.write_bytes(bytes(numcodecs.Blosc().encode(np.zeros(2**22, np.uint8))))
    with pytest.raises(InputError, match="would expand beyond its voxels"):
        _open(path).read_into(whole)


@pytest.mark.parametrize(
    "coding",
    [
        {"compressors": numcodecs.LZMA()},
        {"compressors": numcodecs.Zstd(), "filters": [numcodecs.GZip()]},
        {"compressors": numcodecs.Zstd(), "filters": [numcodecs.Base64()]},
    ],
)
def test_other_codecs_are_refused(tmp_path, coding):
    path = _write(tmp_path, **coding)
    with pytest.raises(InputError, match=r"run 'TS_1'.*are not read; expected at most one of"):
        _open(path)


def test_a_filter_that_makes_texts_is_refused(tmp_path):
    path = _write(tmp_path, compressors=None)
    metadata = json.loads((path / ".zarray").read_text())
    astype = {"id": "astype", "encode_dtype": "<f4", "decode_dtype": "|S1000000"}
    (path / ".zarray").write_text(json.dumps(metadata | {"filters": [astype]}))
    with pytest.raises(InputError, match="astype makes no numbers"):
        _open(path)


@pytest.mark.parametrize("codec", [numcodecs.Zstd(), numcodecs.GZip(), numcodecs.Blosc()], ids=str)
@pytest.mark.parametrize("version", [2, 3])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, codec, version):
    coders = {"zstd": ZstdCodec(), "gzip": GzipCodec(), "blosc": BloscCodec()}
    path = _write(tmp_path, version, compressors=codec if version == 2 else coders[codec.codec_id])
    _chunk(path).write_bytes(bytes(codec.encode(np.zeros(2**22, np.uint8))))
    with pytest.raises(InputError, match="would expand beyond its voxels"):
        _open(path)[:]


@pytest.mark.parametrize("part", [np.s_[:], np.s_[0, 0, 0:2]], ids=["whole", "part"])
def test_a_bomb_in_a_shard_is_refused(tmp_path, part):
    path = _write(tmp_path, 3, compressors=ZstdCodec(), shards=(16, 16, 16))
    shard, bomb = _chunk(path), bytes(numcodecs.Zstd().encode(np.zeros(2**22, np.uint8)))
    content = shard.read_bytes()
    table = np.frombuffer(content[-(16 * 8 + 4) : -4], "<u8").reshape(8, 2).copy()
    table[0] = len(content) - 16 * 8 - 4, len(bomb)
    index = table.tobytes()
    checksum = int(google_crc32c.value(index)).to_bytes(4, "little")
    shard.write_bytes(content[: -(16 * 8 + 4)] + bomb + index + checksum)
    with pytest.raises(InputError, match="would expand beyond its voxels"):
        _open(path)[part]


def test_a_shard_that_is_compressed_itself_is_refused(tmp_path):
    path = _write(tmp_path, 3, compressors=ZstdCodec(), shards=(16, 16, 16))
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["codecs"].append({"name": "gzip", "configuration": {"level": 5}})
    (path / "zarr.json").write_text(json.dumps(metadata))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr finds it odd too
        with pytest.raises(InputError, match="not compressed themselves"):
            _open(path)


def test_shards_of_too_many_chunks_are_refused(tmp_path):
    path = _write(tmp_path, 3, compressors=None, shards=(16, 16, 16))
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["shape"] = [2048] * 3
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [512] * 3
    metadata["codecs"][0]["configuration"]["chunk_shape"] = [1] * 3
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="chunks can be read"):
        _open(path)

"""Chunks that are coded otherwise than numbers are, or that would expand too far, are not read."""

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

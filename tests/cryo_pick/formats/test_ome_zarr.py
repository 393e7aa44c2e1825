"""OME-Zarr volumes: written ones are read by plain zarr, damaged ones are refused by name."""

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, GZip, Zlib, Zstd

from cryo_pick.errors import InputError
from cryo_pick.formats.ome_zarr import OmeZarr, halve, open_ome_zarr, write_ome_zarr


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_is_written_is_read_back(tmp_path: Path, volume: np.ndarray, version: str) -> None:
    path = tmp_path / "v.zarr"
    write_ome_zarr(path, volume, (10.0, 11.0, 12.0), version=version, origin=(1.0, 2.0, 3.0))
    image = open_ome_zarr(path)
    np.testing.assert_array_equal(image.array[:], volume)
    assert image.voxel_spacing == (10, 11, 12)
    assert image.origin == (1, 2, 3)
    assert image.array.ndim == 3
    assert len(image.array) == 8
    assert image.array.dtype == np.float32


@pytest.mark.parametrize(("version", "zarr_format"), [("0.4", 2), ("0.5", 3)])
def test_plain_zarr_reads_what_is_written(
    tmp_path: Path, volume: np.ndarray, version: str, zarr_format: int
) -> None:
    write_ome_zarr(tmp_path / "v.zarr", volume, 10.012, version=version)
    group = zarr.open_group(tmp_path / "v.zarr", mode="r")
    attributes: Any = dict(group.attrs) if version == "0.4" else group.attrs["ome"]
    image = attributes["multiscales"][0]
    assert group.metadata.zarr_format == zarr_format
    assert [d["path"] for d in image["datasets"]] == ["0", "1", "2"]
    assert [a["name"] for a in image["axes"]] == ["z", "y", "x"]
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [10.012] * 3}
    ]
    np.testing.assert_array_equal(np.asarray(group["0"]), volume)


def test_a_point_keeps_its_place_in_every_level(tmp_path: Path) -> None:
    """The centre of mass of a blob, in Å, is the same whatever the level."""
    grid = np.indices((32, 32, 32)).transpose(1, 2, 3, 0)
    centre = np.array([14.2, 17.7, 12.5])
    volume = np.exp(-((grid - centre) ** 2).sum(-1) / 18).astype(np.float32)
    write_ome_zarr(tmp_path / "v.zarr", volume, 10.0, origin=(3.0, -4.0, 5.0))
    for level in range(3):
        image = open_ome_zarr(tmp_path / "v.zarr", level)
        weights = image.array[:]
        index = np.indices(weights.shape).reshape(3, -1) @ weights.ravel() / weights.sum()
        found = np.asarray(image.origin) + index * np.asarray(image.voxel_spacing)
        np.testing.assert_allclose(found, centre * 10 + [3, -4, 5], atol=0.1)


def test_halving_is_the_mean_of_blocks() -> None:
    volume = np.arange(5 * 4 * 2, dtype=np.float32).reshape(5, 4, 2)
    expected = volume[:4].reshape(2, 2, 2, 2, 1, 2).mean((1, 3, 5))
    np.testing.assert_allclose(halve(volume), expected)
    assert halve(np.ones((1, 4, 1))).shape == (1, 2, 1)


def test_empty_regions_are_written_as_files(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "v.zarr", np.zeros((8, 8, 8), np.float32), 10)
    open_ome_zarr(tmp_path / "v.zarr").array.check_chunks()
    assert (tmp_path / "v.zarr/0/0/0/0").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"volume": np.zeros((4, 4))}, r"`volume` to be \(d, h, w\), but got shape \(4, 4\)"),
        ({"version": "0.3"}, "`version` 0.4 or 0.5 and `levels` of 1 or more, but got '0.3' and 3"),
        ({"levels": 0}, "but got '0.4' and 0"),
        ({"voxel_spacing": [1, 2]}, "`voxel_spacing` to be 1 or 3 finite numbers"),
    ],
)
def test_arguments_that_cannot_be_written(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"volume": np.zeros((4, 4, 4)), "voxel_spacing": 10, **arguments}
    with pytest.raises(ValueError, match=message):
        write_ome_zarr(tmp_path / "v.zarr", **given)
    assert list(tmp_path.iterdir()) == []


def test_other_chunkings_are_read(tmp_path: Path, volume: np.ndarray, make_zarr: Any) -> None:
    make_zarr(tmp_path / "a.zarr", volume, chunks=(3, 5, 7))
    np.testing.assert_array_equal(open_ome_zarr(tmp_path / "a.zarr").array[2:6, 1], volume[2:6, 1])
    assert open_ome_zarr(tmp_path / "a.zarr").array.block_shape == (3, 5, 7)


def test_a_sharded_volume_is_read(tmp_path: Path, volume: np.ndarray) -> None:
    write_ome_zarr(tmp_path / "v.zarr", volume, 10, levels=1, version="0.5")
    zarr.create_array(
        tmp_path / "v.zarr",
        name="0",
        data=volume,
        chunks=(4, 4, 4),
        shards=(8, 8, 8),
        overwrite=True,
    )
    image = open_ome_zarr(tmp_path / "v.zarr")
    image.array.check_chunks()
    assert len(list(image.array.chunk_names())) == 6
    np.testing.assert_array_equal(image.array[:], volume)


def test_a_remote_store_is_read(volume: np.ndarray, tmp_path: Path, make_zarr: Any) -> None:
    make_zarr(tmp_path / "v.zarr", volume)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "v.zarr"), "/ome/v.zarr", recursive=True)
    try:
        image = open_ome_zarr("memory://ome/v.zarr")
        np.testing.assert_array_equal(image.array[:], volume)
        image.array.check_chunks()
        with pytest.raises(InputError, match=r"memory://.*: not found"):
            open_ome_zarr("memory://ome/w.zarr")
    finally:
        memory.rm("/ome", recursive=True)


def read_whole(image: OmeZarr) -> np.ndarray:
    """As the cache does it."""
    image.array.check_chunks()
    return image.array[:]


class TestDamage:
    """A volume that was cut short somewhere."""

    @pytest.fixture
    def path(self, tmp_path: Path, volume: np.ndarray, make_zarr: Any) -> Path:
        make_zarr(tmp_path / "v.zarr", volume)
        return tmp_path / "v.zarr"

    def test_nothing_is_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"nowhere\.zarr: not found; expected an OME-Zarr"):
            open_ome_zarr(tmp_path / "nowhere.zarr")
        with pytest.raises(InputError, match=r"no OME-Zarr metadata \(.zattrs or zarr.json\)"):
            open_ome_zarr(tmp_path)

    @pytest.mark.parametrize("name", [".zattrs", "0/.zarray"])
    @pytest.mark.parametrize(
        "content", [b"", b'{"zarr_for', b"[]", b"{}", b"\xff\xfe", b"[" * 99999]
    )
    def test_the_metadata_is_broken(self, path: Path, name: str, content: bytes) -> None:
        (path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"v\.zarr"):
            open_ome_zarr(path, run="TS_1")

    def test_the_array_is_missing(self, path: Path) -> None:
        (path / "0/.zarray").unlink()
        with pytest.raises(InputError, match=r"run 'TS_1': .*: no zarr array at"):
            open_ome_zarr(path, run="TS_1")

    def test_the_group_has_no_attributes(self, path: Path) -> None:
        (path / ".zattrs").write_text("[1]")
        with pytest.raises(InputError, match="no attributes in the OME-Zarr metadata"):
            open_ome_zarr(path)

    def test_a_chunk_is_missing(self, path: Path) -> None:
        (path / "0/0.1.2").unlink()
        image = open_ome_zarr(path, run="TS_1")
        with pytest.raises(InputError, match=r"'TS_1'.*1 of 6 chunk files .*the first is 0\.1\.2"):
            image.array.check_chunks()

    def test_a_chunk_is_empty(self, path: Path) -> None:
        (path / "0/0.0.1").write_bytes(b"")
        with pytest.raises(InputError, match=r"the first is 0\.0\.1"):
            open_ome_zarr(path).array.check_chunks()

    @pytest.mark.parametrize(
        "codec", [None, Blosc(), GZip(), Zstd(), LZ4(), Zlib()], ids=lambda c: type(c).__name__
    )
    @pytest.mark.parametrize("keep", [3, 40, -7])
    def test_a_chunk_is_cut_short(
        self, tmp_path: Path, volume: np.ndarray, make_zarr: Any, codec: Any, keep: int
    ) -> None:
        make_zarr(tmp_path / "w.zarr", volume, compressors=codec)
        chunk = tmp_path / "w.zarr/0/0.0.1"
        chunk.write_bytes(chunk.read_bytes()[:keep])
        image = open_ome_zarr(tmp_path / "w.zarr", run="TS_1")
        message = r"'TS_1'.*(0\.0\.1 of .* is cut short|can't read the voxels of .*w\.zarr/0)"
        with pytest.raises(InputError, match=message):
            read_whole(image)

    def test_an_index_outside_is_the_callers_mistake(self, path: Path) -> None:
        with pytest.raises(IndexError):
            open_ome_zarr(path).array[99]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"shape": [4, 4], "chunks": [4, 4]}, r"expected a volume \(d, h, w\).*\(4, 4\)"),
            ({"shape": [0, 4, 4]}, r"expected a volume \(d, h, w\).*\(0, 4, 4\)"),
            ({"dtype": "<c8", "fill_value": [0, 0]}, "expected real numbers, but .* complex64"),
            ({"dtype": "|b1", "fill_value": False}, "expected real numbers, but .* bool"),
            ({"shape": [10**9] * 3}, "voxels in .* chunks can be read"),
            ({"shape": [10**4] * 3, "chunks": [1, 1, 1]}, "chunks can be read"),
            ({"shape": [4096] * 3, "chunks": [4096] * 3}, "a chunk takes 256.0 GiB"),
            ({"shape": [-1, 4, 4]}, "v.zarr"),
            ({"chunks": [0, 4, 4]}, "v.zarr"),
            ({"compressor": {"id": "nosuch"}}, "broken zarr metadata"),
        ],
    )
    def test_the_array_is_no_volume(self, path: Path, fields: dict[str, Any], message: str) -> None:
        metadata = json.loads((path / "0/.zarray").read_text())
        (path / "0/.zarray").write_text(json.dumps(metadata | fields))
        with pytest.raises(InputError, match=message):
            open_ome_zarr(path)

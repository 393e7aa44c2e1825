"""MRC volumes against the mrcfile package."""

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.mrc import open_mrc, write_mrc


@pytest.fixture
def path(tmp_path: Path, volume: np.ndarray) -> Path:
    """What mrcfile writes; x, y and z differ in everything."""
    with mrcfile.new(tmp_path / "TS_1.mrc") as file:
        file.set_data(volume)
        file.set_volume()
        file.voxel_size = (10.0, 11.0, 12.0)
        file.header.origin = (1, 2, 3)
    return tmp_path / "TS_1.mrc"


def change(path: Path, **fields: Any) -> Path:
    """Overwrite fields of the header."""
    with mrcfile.mmap(path, "r+") as file:
        for name, value in fields.items():
            file.header[name] = value
    return path


def test_what_mrcfile_writes_is_read(path: Path, volume: np.ndarray) -> None:
    tomogram = open_mrc(path)
    np.testing.assert_array_equal(tomogram.volume, volume)
    assert tomogram.voxel_spacing == (12, 11, 10)
    assert tomogram.origin == (3, 2, 1)
    assert tomogram.run == "TS_1"
    assert isinstance(tomogram.volume, np.memmap)
    assert not tomogram.volume.flags.writeable


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_mrcfile_reads_what_is_written(tmp_path: Path, dtype: str) -> None:
    volume = np.arange(60).reshape(3, 4, 5).astype(dtype)
    write_mrc(tmp_path / "v.mrc", volume, (12.0, 11.0, 10.0), (3.0, 2.0, 1.0))
    assert mrcfile.validate(tmp_path / "v.mrc")
    with mrcfile.open(tmp_path / "v.mrc") as file:
        np.testing.assert_array_equal(file.data, volume)
        assert file.voxel_size.tolist() == (10, 11, 12)
        assert file.header.origin.tolist() == (1, 2, 3)
        assert file.is_volume()
    assert open_mrc(tmp_path / "v.mrc").voxel_spacing == (12, 11, 10)
    assert open_mrc(tmp_path / "v.mrc").origin == (3, 2, 1)


def test_one_section_is_still_a_volume(tmp_path: Path) -> None:
    write_mrc(tmp_path / "v.mrc", np.zeros((1, 4, 5), np.float32), 10.0)
    assert open_mrc(tmp_path / "v.mrc").shape == (1, 4, 5)


def test_big_endian_and_an_extended_header_are_read(tmp_path: Path, volume: np.ndarray) -> None:
    with mrcfile.new(tmp_path / "v.mrc") as file:
        file.set_data(volume.astype(">f4"))
        file.set_extended_header(np.arange(100, dtype="u1"))
        file.voxel_size = 7.5
    tomogram = open_mrc(tmp_path / "v.mrc")
    np.testing.assert_array_equal(tomogram.volume, volume)
    assert tomogram.voxel_spacing == (7.5, 7.5, 7.5)


@pytest.mark.parametrize("spacing", [0, 1])
def test_a_spacing_of_0_or_1_is_unknown(path: Path, spacing: float) -> None:
    with mrcfile.mmap(path, "r+") as file:
        file.voxel_size = spacing
    with pytest.raises(InputError, match=f"TS_1.mrc: .* is {spacing}, .*give it with data.voxel"):
        open_mrc(path)
    assert open_mrc(path, 10.012).voxel_spacing == (10.012, 10.012, 10.012)


def test_a_given_spacing_wins_and_the_difference_is_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert open_mrc(path, 20.0).voxel_spacing == (20, 20, 20)
    assert "taking the given spacing of 20.0 Å" in caplog.text


@pytest.mark.parametrize(
    ("given_spacing", "message"), [(0, "above 0 Å, but got 0"), (np.nan, "finite numbers")]
)
def test_a_given_spacing_that_is_none(path: Path, given_spacing: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_mrc(path, given_spacing)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mapc": 3, "maps": 1}, r"sections along x, y, z .* says \(3, 2, 1\)"),
        ({"mode": 4}, "expected real numbers, but MRC mode 4 is complex64"),
        ({"mode": 77}, "broken MRC header"),
        ({"nx": 0}, r"expected a volume \(d, h, w\)"),
        ({"nx": -20}, r"expected a volume \(d, h, w\)"),
        ({"nx": 21}, "cut short: a volume of .* takes"),
        ({"nx": 2**31 - 1, "ny": 2**31 - 1, "nz": 2**31 - 1}, "cut short"),
        ({"nsymbt": -4}, "a damaged one"),
        ({"origin": (np.nan, 0, 0)}, "field `origin` of the MRC header is 0.0, 0.0, nan"),
        ({"cella": (np.nan, 0, 0)}, "which means unknown"),
        ({"mx": 0}, "which means unknown"),
    ],
)
def test_a_header_that_cannot_be_used(path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"TS_1\.mrc: .*({message})"):
        open_mrc(change(path, **fields))


def test_a_file_cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"cut short: .* takes 8704 bytes, but the file has 8703"):
        open_mrc(path)


def test_what_is_no_mrc(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.mrc: no such file"):
        open_mrc(tmp_path / "none.mrc")
    (tmp_path / "short.mrc").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match=r"short\.mrc: no MRC file, or a damaged one"):
        open_mrc(tmp_path / "short.mrc")
    with pytest.raises(InputError, match="no MRC file, or a damaged one"):
        open_mrc(tmp_path)


def test_an_odd_header_is_logged_and_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert open_mrc(change(path, map=b"XXXX")).shape == (8, 12, 20)
    assert "Map ID" in caplog.text


@pytest.mark.parametrize(
    ("volume", "message"),
    [(np.zeros((4, 4)), r"to be \(d, h, w\)"), (np.zeros((2, 2, 2), "i8"), "dtype")],
)
def test_volumes_that_mrc_lacks(tmp_path: Path, volume: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_mrc(tmp_path / "v.mrc", volume, 10.0)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 1023), st.binary(min_size=1, max_size=40), st.booleans())
def test_arbitrary_bytes_are_read_or_refused(
    tmp_path: Path, place: int, content: bytes, only: bool
) -> None:
    path = tmp_path / "x.mrc"
    if not (tmp_path / "good.mrc").exists():
        write_mrc(tmp_path / "good.mrc", np.zeros((2, 3, 4), np.float32), 10.0)
    good = (tmp_path / "good.mrc").read_bytes()
    path.write_bytes(
        content * 40 if only else good[:place] + content + good[place + len(content) :]
    )
    message = "x.mrc"
    try:
        assert open_mrc(path).volume.ndim == 3
    except InputError as error:
        message = str(error)
    assert "x.mrc" in message

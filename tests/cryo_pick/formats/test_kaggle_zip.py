"""The challenge's zip: what is good is unpacked, what is not leaves nothing behind."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats import kaggle_zip
from cryo_pick.formats.kaggle_zip import unpack

PICKS = "train/overlay/ExperimentRuns/TS_5_4/Picks/apo-ferritin.json"


def make_zip(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_the_project_in_it_is_found(tmp_path: Path) -> None:
    entries = {PICKS: b"{}", "sample_submission.csv": b"id\n", "train/static/": b""}
    folder = unpack(make_zip(tmp_path / "a.zip", entries), tmp_path / "out")
    assert folder == tmp_path / "out/train"
    assert (tmp_path / "out" / PICKS).read_bytes() == b"{}"
    assert (tmp_path / "out/sample_submission.csv").read_bytes() == b"id\n"
    with pytest.raises(InputError, match="is there already"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", "leads out of the folder"),
        ("train/../../evil", "leads out of the folder"),
        ("/etc/evil", "leads out of the folder"),
        ("C:/evil", "leads out of the folder"),
        ("a\\..\\evil", "leads out of the folder"),
    ],
)
def test_no_name_leads_out(tmp_path: Path, name: str, message: str) -> None:
    archive = make_zip(tmp_path / "a.zip", {name: b"x"})
    with pytest.raises(InputError, match=rf"a\.zip: not unpacked.*{message}"):
        unpack(archive, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "deep/out").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train/static")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(InputError, match="is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_bomb_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bomb = make_zip(tmp_path / "a.zip", {PICKS: bytes(210 * 2**20)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**20
    with pytest.raises(InputError, match="over 200 times as much"):
        unpack(bomb, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_small_archive_of_zeros_is_none(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {PICKS: bytes(2**20)}, zipfile.ZIP_DEFLATED)
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / PICKS).stat().st_size == 2**20


def test_what_the_disk_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle_zip, "_free", lambda target: 10)
    with pytest.raises(InputError, match="unpacks to 11 bytes, but the disk has 10 left"):
        unpack(make_zip(tmp_path / "a.zip", {PICKS: b"x" * 11}), tmp_path / "out")


def test_an_entry_that_lies_about_its_size_writes_no_more(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {PICKS: b"x" * 1000}, zipfile.ZIP_DEFLATED)
    content = bytearray(archive.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 10)
    archive.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a\.zip"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no zip", "no zip file, or a damaged one"), (None, "can't be unpacked")],
)
def test_what_is_no_zip(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=message):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_damaged_entry_leaves_nothing(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {PICKS: b"0123456789"})
    archive.write_bytes(archive.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(InputError, match="no zip file, or a damaged one"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected static/ExperimentRuns"):
        unpack(make_zip(tmp_path / "a.zip", {"a/b": b""}), tmp_path / "out")

"""A file or folder is written whole or not at all."""

from pathlib import Path

import pytest

from cryo_pick.files import (
    atomic_path,
    remove_temporaries,
    temporary_name,
    write_bytes_atomic,
    write_text_atomic,
)


def test_folders_above_are_made_and_content_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text_atomic(path, "Å\n")
    assert path.read_bytes() == "Å\n".encode()
    write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def fail_half_way(path: Path, folder: bool) -> None:
    with atomic_path(path) as temporary:
        if folder:
            temporary.mkdir()
        file = temporary / "x" if folder else temporary
        file.write_text("half")
        raise RuntimeError("stopped")


@pytest.mark.parametrize("folder", [False, True])
def test_after_an_error_everything_is_as_it_was(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stopped"):
        fail_half_way(path, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert path.read_text() == "old"


def test_the_name_ends_as_the_file_does(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "v.mrc") as temporary:
        temporary.write_bytes(b"")
        assert temporary.suffix == ".mrc"
        assert temporary.parent == tmp_path
        assert not (tmp_path / "v.mrc").exists()
    assert (tmp_path / "v.mrc").exists()


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "v.zarr"
    for name in ("first", "second"):
        with atomic_path(target) as temporary:
            (temporary / "0").mkdir(parents=True)
            (temporary / "0" / name).write_text("x")
    assert [p.name for p in (target / "0").iterdir()] == ["second"]
    assert [p.name for p in tmp_path.iterdir()] == ["v.zarr"]


def test_writing_nothing_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="nothing was written"),
        atomic_path(tmp_path / "x"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = [".tmp", ".notes.tmp.npz", "a.tmp", ".0123456789abc.tmp.npz", "candidates.npz"]
    for name in kept:
        (tmp_path / name).write_text("x")
    temporary_name(tmp_path / "candidates.npz").write_text("half")
    (temporary_name(tmp_path / "heatmap.zarr") / "0").mkdir(parents=True)
    temporary_name(tmp_path / "no ending").write_text("half")
    remove_temporaries(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)
    remove_temporaries(tmp_path / "not there")

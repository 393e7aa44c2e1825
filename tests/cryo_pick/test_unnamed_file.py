"""What is written at a place is read from there, and nothing is left when the file is closed."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cryo_pick import unnamed_file
from cryo_pick.unnamed_file import UnnamedFile


def test_numbers_come_back_from_where_they_were_put(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with closing(UnnamedFile(1000, tmp_path)) as file:
        file.write(100, values[:, ::2])  # not contiguous in memory
        got = np.empty((2, 2, 4), np.float32)
        file.read(100, got)
        np.testing.assert_array_equal(got, values[:, ::2])
        got = np.empty(5, np.float32)
        file.read(80, got)
        assert got.tolist() == [0, 0, 0, 0, 0]  # what nobody wrote
        with pytest.raises(EOFError, match="4 bytes are missing from byte 996"):
            file.read(996, np.empty(2, np.float32))
        assert not list(tmp_path.iterdir())  # without a name
    assert file.file.closed


def test_a_full_disk_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unnamed_file, "allocate", full)
    with pytest.raises(OSError, match="No space left"):
        UnnamedFile(1000, tmp_path)

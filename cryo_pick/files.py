"""Files that are either there whole or not at all.

A file is written beside its place under a temporary name, synced and renamed, so that a reader,
a second writer or a power cut never meets half of one.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.tmp(\..*)?$")
"""Names that `temporary_name` gives."""


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other writer uses; hidden, and ending as `path` does."""
    return path.with_name(f".{uuid.uuid4().hex[:12]}.tmp{path.suffix}")


def remove_temporaries(folder: Path) -> None:
    """Delete what writers that were killed left in a folder.

    Only for who alone may write there: a live writer would lose its file too.
    """
    for path in folder.glob(".*.tmp*"):
        if _TEMPORARY.match(path.name):
            _remove(path)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Path to write a file or a folder at, moved to `path` when the block ends without an error.

    Folders above `path` are made. A file that is there is replaced; so is a folder, by a folder.
    After an error nothing is left behind and what was at `path` is untouched.

    Yields
    ------
    Path
        Does not exist yet; in the folder of `path`, so on the same disk.

    Raises
    ------
    FileNotFoundError
        If the block wrote nothing.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(target)
    try:
        yield temporary
        _sync(temporary)
        if temporary.is_dir() and target.is_dir():
            _replace_folder(temporary, target)
        else:
            temporary.replace(target)
        _sync_folder(target.parent)
    finally:
        _remove(temporary)


def write_bytes_atomic(path: str | Path, content: bytes) -> None:
    """Write `content` to the file `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text_atomic(path: str | Path, content: str) -> None:
    """Write `content` to the file `path` as UTF-8, whole or not at all."""
    write_bytes_atomic(path, content.encode())


def file_size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync(path: Path) -> None:
    """Have a file, or every file below a folder, on the disk before it gets its name."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    if not path.exists():
        raise FileNotFoundError(f"nothing was written to {path}")


def _sync_folder(folder: Path) -> None:
    """Have a rename on the disk; where the system can't sync a folder, do nothing."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _replace_folder(temporary: Path, target: Path) -> None:
    """Put one folder in the place of another; the old one goes last."""
    old = temporary_name(target)
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

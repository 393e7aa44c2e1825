"""A place in a local folder or in any store that fsspec reaches."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from cryo_pick.errors import InputError
from cryo_pick.files import write_bytes_atomic

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "http": "aiohttp",
    "https": "aiohttp",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "ssh": "paramiko",
    "sftp": "paramiko",
    "smb": "smbprotocol",
}
"""What fsspec needs for a kind of URL."""
PROTOCOLS = ("file", "local", "memory", "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs",
             "abfss", "adl", "ssh", "sftp", "ftp", "smb", "webdav", "webhdfs", "hdfs")  # fmt: skip
"""Stores that a project may lie in. fsspec knows more, some of which run what they read."""


@dataclass(frozen=True)
class Location:
    """A file or folder, local or remote.

    Attributes
    ----------
    fs
        fsspec file system.
    path
        Inside `fs`, without protocol and trailing slash.
    """

    fs: fsspec.AbstractFileSystem
    path: str

    @classmethod
    def of(cls, where: str | Path | Location, options: Mapping[str, Any] | None = None) -> Location:
        """Location of a path or URL (``local://``, ``s3://``, ``https://``, ...).

        Raises
        ------
        InputError
            If the protocol is none of :data:`PROTOCOLS`, lacks its package, or fsspec refuses it
            or `options`.
        """
        if isinstance(where, Location):
            return where
        text = str(where)
        if "://" not in text:
            return cls(LocalFileSystem(), str(Path(text).absolute()))
        protocol = text.partition("://")[0]
        if protocol not in PROTOCOLS:
            raise InputError(
                f"{text}: can't open this URL: expected one of the protocols "
                f"{', '.join(PROTOCOLS)}, but got {protocol!r:.60}"
            )
        try:
            fs, path = fsspec.core.url_to_fs(text, **dict(options or {}))
        except ImportError as error:
            package = PACKAGES.get(text.partition("://")[0], "the package that it names")
            raise InputError(
                f"{text}: this kind of URL needs a package that is missing ({_short(error)}); "
                f"pip install {package}"
            ) from error
        except Exception as error:  # every file system has errors of its own
            raise InputError(f"{text}: can't open this URL ({_short(error)})") from error
        return cls(fs, str(path).rstrip("/"))

    def __truediv__(self, name: str) -> Location:
        return Location(self.fs, f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.path if self.local else str(self.fs.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def local(self) -> Path | None:
        """As a path, where the location is on this machine's file system."""
        return Path(self.path) if isinstance(self.fs, LocalFileSystem) else None

    def exists(self) -> bool:
        """Whether a file or folder is there.

        Raises
        ------
        InputError
            If the store can't be asked.
        """
        return bool(self._ask(self.fs.exists))

    def is_folder(self) -> bool:
        """Whether a folder is there.

        Raises
        ------
        InputError
            If the store can't be asked.
        """
        return bool(self._ask(self.fs.isdir))

    def folders(self) -> list[str]:
        """Sorted names of the folders inside; none where this is no folder."""
        return self._names("directory")

    def files(self) -> list[str]:
        """Sorted names of the files inside; none where this is no folder."""
        return self._names("file")

    def read_bytes(self) -> bytes:
        """Content of the file.

        Raises
        ------
        InputError
            If it isn't there, is a device or a pipe, or can't be read.
        """
        if self.local and self.local.exists() and not self.local.is_file():
            raise InputError(f"{self}: can't be read (it is no regular file)")
        try:
            content: bytes = self.fs.cat_file(self.path)
        except FileNotFoundError as error:
            raise InputError(f"{self}: no such file") from error
        except Exception as error:  # every file system has errors of its own
            raise InputError(f"{self}: can't be read ({_short(error)})") from error
        return content

    def read_into(self, buffer: bytearray) -> memoryview:
        """Content of the file: of a local one in the buffer, which grows where it is too short.

        What was read before has to be released first; a memoryview is a context that does so.

        Raises
        ------
        InputError
            As :meth:`read_bytes`.
        """
        if not (self.local and self.local.is_file()):
            return memoryview(self.read_bytes())
        try:
            with self.local.open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                buffer.extend(bytes(max(0, size - len(buffer))))
                view = memoryview(buffer)[:size]
                done = 0
                while done < size and (n := file.readinto(view[done:])):
                    done += n
        except OSError as error:
            raise InputError(f"{self}: can't be read ({_short(error)})") from error
        return view[:done]

    def read_json(self) -> Any:
        """Content of the JSON file.

        Raises
        ------
        InputError
            If it can't be read or isn't JSON.
        """
        content = self.read_bytes()
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self}: not valid JSON ({_short(error)})") from error

    def write_bytes(self, content: bytes) -> None:
        """Write the file; on a local disk whole or not at all.

        Raises
        ------
        InputError
            If the store refuses.
        """
        try:
            if self.local:
                write_bytes_atomic(self.local, content)
            else:
                self.fs.pipe_file(self.path, content)
        except Exception as error:  # every file system has errors of its own
            raise InputError(f"{self}: can't be written ({_short(error)})") from error

    def store(self) -> Store:
        """Read-only zarr store of the folder."""
        if self.local:
            return LocalStore(self.local, read_only=True)
        return FsspecStore.from_mapper(fsspec.FSMap(self.path, self.fs), read_only=True)

    def _names(self, kind: str) -> list[str]:
        try:
            if self.local:  # fsspec's listing says of a link only that it is one
                is_kind = Path.is_dir if kind == "directory" else Path.is_file
                return sorted(p.name for p in self.local.iterdir() if is_kind(p))
            entries = self.fs.ls(self.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except Exception as error:  # every file system has errors of its own
            raise InputError(f"{self}: can't be listed ({_short(error)})") from error
        paths = {e["name"].rstrip("/") for e in entries if e["type"] == kind}
        return sorted(p.rsplit("/", 1)[-1] for p in paths - {self.path, ""})

    def _ask(self, question: Any) -> Any:
        try:
            return question(self.path)
        except Exception as error:  # every file system has errors of its own
            raise InputError(f"{self}: can't be reached ({_short(error)})") from error


def check_inside(place: Location, root: Location) -> None:
    """Refuse to write where a link leads out of the folder that was named.

    Reading follows links, since tomograms are often linked from where they were made.

    Raises
    ------
    InputError
        If `place` is not below `root` once links are followed.
    """
    if (
        place.local
        and root.local
        and not (place.local.resolve().is_relative_to(root.local.resolve()))
    ):
        raise InputError(
            f"{place}: a link leads out of the project, to {place.local.resolve()}; nothing is "
            "written there. Replace the link by a folder"
        )


def _short(error: BaseException) -> str:
    """Kind and first line of an error."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__

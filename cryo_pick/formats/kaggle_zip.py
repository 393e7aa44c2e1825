"""The CZII challenge's zip, unpacked without trusting it."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from cryo_pick.errors import InputError, raise_all
from cryo_pick.files import atomic_path

MAX_RATIO = 200
"""Unpacked over packed size above which an archive is refused; compressed chunks hardly shrink."""
MAX_FILES = 2**21
_BLOCK = 2**20


def unpack(archive: str | Path, out: str | Path) -> Path:
    """Unpack a zip into the new folder `out`, all of it or nothing.

    Returns
    -------
    Path
        The project in it: `out`, or the folder that has ``static`` or ``overlay`` in it, such as
        ``out/train``.

    Raises
    ------
    InputError
        If the file is no zip, `out` is there already, a name leads out of `out`, an entry is a
        link, or it would unpack to more than the disk or any tomogram's compression explains.
    """
    target = Path(out)
    if target.exists():
        raise InputError(f"{target}: is there already; choose another folder")
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = opened.infolist()
            check_entries(entries, Path(archive), _free(target))
            with atomic_path(target) as temporary:
                temporary.mkdir()
                for entry in entries:
                    _extract(opened, entry, temporary)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{archive}: no zip file, or a damaged one ({error})") from error
    except OSError as error:
        raise InputError(f"{archive}: can't be unpacked ({error.strerror or error})") from error
    return find_project(target)


def find_project(folder: Path) -> Path:
    """The folder with a project's roots: `folder` or one in it, ``train`` before others.

    Raises
    ------
    InputError
        If there is none.
    """
    inside = sorted(p for p in folder.iterdir() if p.is_dir())
    for place in [folder, folder / "train", *inside]:
        if any((place / root / "ExperimentRuns").is_dir() for root in ("static", "overlay")):
            return place
    raise InputError(
        f"{folder}: expected static/ExperimentRuns, in it or in a folder in it, as the CZII "
        "challenge has it"
    )


def check_entries(entries: list[zipfile.ZipInfo], archive: Path, free: int) -> None:
    """Refuse an archive that would write elsewhere, or too much.

    Raises
    ------
    InputError
        If it would; all problems are listed.
    """
    problems = []
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in entry.filename
            or ":" in path.parts[0]
        ):
            problems.append(f"entry {entry.filename!r:.100} leads out of the folder")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            problems.append(f"entry {entry.filename!r:.100} is a link")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        problems.append("a name occurs twice")
    packed = sum(entry.compress_size for entry in entries)
    unpacked = sum(entry.file_size for entry in entries)
    if packed > archive.stat().st_size or len(entries) > MAX_FILES:
        problems.append(f"{len(entries)} entries that overlap or are too many")
    if unpacked > MAX_RATIO * max(packed, _BLOCK):
        problems.append(
            f"{packed} bytes would unpack to {unpacked}, over {MAX_RATIO} times as much"
        )
    if unpacked > free:
        problems.append(f"unpacks to {unpacked} bytes, but the disk has {free} left")
    more = len(problems) - 10
    listed = problems[:10] + ([f"and {more} more"] if more > 0 else [])
    raise_all(listed, InputError, f"{archive}: not unpacked")


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Write one entry, and no byte more than it declared."""
    path = folder.joinpath(*PurePosixPath(entry.filename).parts)
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with opened.open(entry) as source, path.open("wb") as sink:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise InputError(f"{opened.filename}: {entry.filename} is longer than it declares")
            sink.write(block)


def _free(target: Path) -> int:
    """Bytes left on the disk that a path is on."""
    place = target.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free

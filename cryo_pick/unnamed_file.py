"""A file without a name, for what is too large for memory: it goes when it is closed, or we do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.cache import allocate


class UnnamedFile:
    """Numbers at places that its user knows, until :meth:`close`.

    Parameters
    ----------
    size
        Bytes; the disk has room for them from the start.
    folder
        On whose disk it lies; None: the system's folder for temporary files.

    Raises
    ------
    OSError
        If there is no room for it.
    """

    def __init__(self, size: int, folder: Path | None) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        try:
            allocate(self.file.fileno(), size)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give back its disk."""
        self.file.close()

    def write(self, offset: int, values: NDArray[Any]) -> None:
        """Put an array's numbers, in C order, at a byte."""
        view = np.ascontiguousarray(values).data.cast("B")
        self.file.seek(offset)
        while view:
            view = view[self.file.write(view) :]

    def read(self, offset: int, out: NDArray[Any]) -> None:
        """Fill a C-contiguous array with the numbers from a byte on.

        Raises
        ------
        EOFError
            If the file ends before.
        """
        view = out.data.cast("B")
        self.file.seek(offset)
        while view:
            done = self.file.readinto(view)  # type: ignore[attr-defined]
            if not done:
                raise EOFError(f"{len(view)} bytes are missing from byte {offset} on")
            view = view[done:]

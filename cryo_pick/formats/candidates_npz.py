"""Candidates of one run in a numpy archive, with class names and a little metadata. No pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.errors import InputError
from cryo_pick.files import atomic_path
from cryo_pick.formats.npz import read_npz

_MAX_ABOUT = 2**26
"""Bytes of names and metadata above which a file is refused; they take a few hundred."""


@dataclass(frozen=True)
class CandidatesFile:
    """What one file holds.

    Attributes
    ----------
    candidates
        Of one run.
    class_names
        In class order; as many as stage-1 scores.
    metadata
        JSON values.
    """

    candidates: Candidates
    class_names: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def write_candidates(
    path: str | Path,
    candidates: Candidates,
    class_names: Sequence[str],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write candidates, whole or not at all.

    Parameters
    ----------
    metadata
        What JSON can say.

    Raises
    ------
    ValueError
        If there is not one name per class.
    """
    if len(class_names) != candidates.n_classes:
        raise ValueError(
            f"Expected {candidates.n_classes} class names, but got {', '.join(class_names)}."
        )
    about = {"classes": list(class_names), "metadata": dict(metadata or {})}
    arrays: dict[str, NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about, allow_nan=False).encode(), np.uint8),
        "positions": candidates.positions,
        "stage1": candidates.stage1,
    }
    if candidates.stage2 is not None and candidates.refined is not None:
        arrays |= {"stage2": candidates.stage2, "refined": candidates.refined}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # without a date: equal content, equal bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read_candidates(path: str | Path) -> CandidatesFile:
    """Read what :func:`write_candidates` wrote.

    Raises
    ------
    InputError
        If the file is missing, broken, or holds something else.
    """
    try:
        return _unpack(read_npz(path, ("about", "positions", "stage1"), ("stage2", "refined")))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such candidates file") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        detail = str(error).splitlines()[0][:200] if str(error) else ""
        raise InputError(
            f"{path}: no candidates file of this program, or a damaged one "
            f"({type(error).__name__}: {detail})"
        ) from error


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata alone, without unpacking the candidates.

    Raises
    ------
    InputError
        If the file is missing, broken, or holds something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("about.npy").file_size > _MAX_ABOUT:
                raise ValueError("about.npy is too large")
            with archive.open("about.npy") as member:
                about = np.lib.format.read_array(member, allow_pickle=False)
        return dict(json.loads(about.astype(np.uint8).tobytes())["metadata"])
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such candidates file") from error
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for broken files
        raise InputError(f"{path}: damaged candidates file ({type(error).__name__})") from error


_DTYPES = {
    "about": np.uint8, "positions": np.float64, "stage1": np.float32,
    "stage2": np.float32, "refined": np.float64,
}  # fmt: skip


def _unpack(arrays: Mapping[str, NDArray[Any]]) -> CandidatesFile:
    for name, array in arrays.items():
        if array.dtype != _DTYPES[name]:
            raise ValueError(
                f"expected `{name}` to be {np.dtype(_DTYPES[name])}, but got {array.dtype}"
            )
    about = json.loads(arrays["about"].tobytes())
    names = tuple(about["classes"])
    candidates = Candidates(
        arrays["positions"], arrays["stage1"], arrays.get("stage2"), arrays.get("refined")
    )
    if len(names) != candidates.n_classes or not all(isinstance(n, str) for n in names):
        raise ValueError(f"expected {candidates.n_classes} class names")
    return CandidatesFile(candidates, names, dict(about["metadata"]))

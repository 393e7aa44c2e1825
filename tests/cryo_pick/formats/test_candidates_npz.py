"""Candidates in numpy archives."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.candidates import Candidates
from cryo_pick.errors import InputError
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates

NAMES = ("apo-ferritin", "ribosome")


def some(n: int, refined: bool) -> Candidates:
    rng = np.random.default_rng(n)
    stage2, moved = (rng.random((n, 3)), rng.random((n, 3))) if refined else (None, None)
    return Candidates(rng.random((n, 3)), rng.random((n, 2)), stage2, moved)


@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("refined", [False, True])
def test_written_and_read_back(tmp_path: Path, n: int, refined: bool) -> None:
    candidates = some(n, refined)
    write_candidates(tmp_path / "c.npz", candidates, NAMES, {"run": "TS_1", "spacing": 10.012})
    back = read_candidates(tmp_path / "c.npz")
    assert back.class_names == NAMES
    assert back.metadata == {"run": "TS_1", "spacing": 10.012}
    for name in ("positions", "stage1", "stage2", "refined"):
        one, other = getattr(candidates, name), getattr(back.candidates, name)
        assert (one is None) == (other is None) == (not refined and name in ("stage2", "refined"))
        if one is not None:
            np.testing.assert_array_equal(other, one)
            assert other.dtype == one.dtype


def test_plain_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    candidates = some(4, True)
    write_candidates(tmp_path / "c.npz", candidates, NAMES)
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["about", "positions", "refined", "stage1", "stage2"]
        np.testing.assert_array_equal(file["stage2"], candidates.stage2)


def test_equal_candidates_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_candidates(tmp_path / name, some(5, True), NAMES, {"x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("names", "metadata", "message"),
    [(["a"], {}, "Expected 2 class names, but got a"), (NAMES, {"x": np.nan}, "JSON compliant")],
)
def test_what_cannot_be_written(
    tmp_path: Path, names: Any, metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_candidates(tmp_path / "c.npz", some(2, False), names, metadata)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: no such candidates file"):
        read_candidates(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "changed",
    [
        {"about": None},
        {"about": np.frombuffer(b"{}", np.uint8)},
        {"about": np.frombuffer(b"x", np.uint8)},
        {"about": np.frombuffer(b'{"classes": [1, 2], "metadata": {}}', np.uint8)},
        {"about": np.frombuffer(b'{"classes": ["a"], "metadata": {}}', np.uint8)},
        {"positions": None},
        {"positions": np.full((3, 3), np.nan)},
        {"positions": np.array(["a", "b", "c"])},
        {"stage1": np.zeros((2, 2))},
        {"stage2": np.zeros((3, 3))},
        {"positions": np.array([{}, 1, 2], object)},
    ],
)
def test_contents_that_are_something_else(tmp_path: Path, changed: dict[str, Any]) -> None:
    write_candidates(tmp_path / "c.npz", some(3, False), NAMES)
    with np.load(tmp_path / "c.npz") as file:
        arrays = {name: file[name] for name in file.files} | changed
    np.savez(tmp_path / "c.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=r"c\.npz: no candidates file of this program, or a damag"):
        read_candidates(tmp_path / "c.npz")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    """A stranger's archive can't run code."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "ran"),))  # type: ignore[return-value]

    write_candidates(tmp_path / "c.npz", some(1, False), NAMES)
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive,
        archive.open("about.npy", "w") as f,
    ):
        np.lib.format.write_array(f, np.array([Bomb()], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"bomb\.npz: no candidates file"):
        read_candidates(tmp_path / "bomb.npz")
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryo_pick.formats.npz.MAX_BYTES", 1000)
    write_candidates(tmp_path / "c.npz", some(100, False), NAMES)
    with pytest.raises(InputError, match=r"unpack to \d+ bytes, more than 1000"):
        read_candidates(tmp_path / "c.npz")


@given(st.integers(0, 900), st.binary(min_size=1, max_size=30), st.integers(0, 2))
def test_arbitrary_bytes_are_read_or_refused(
    tmp_path: Path, place: int, content: bytes, kind: int
) -> None:
    path = tmp_path / "c.npz"
    write_candidates(path, some(3, True), NAMES)
    good = path.read_bytes()
    changed = good[:place] + content + good[place + len(content) :]
    path.write_bytes([changed, content, good[:place]][kind])
    message = "c.npz"
    try:
        assert len(read_candidates(path).class_names) == 2
    except InputError as error:
        message = str(error)
    assert "c.npz" in message

"""Places in local folders and in stores behind fsspec."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats.location import Location


@pytest.fixture
def memory() -> Iterator[Location]:
    place = Location.of("memory://place")
    yield place
    store = fsspec.filesystem("memory")
    if store.exists("/place"):
        store.rm("/place", recursive=True)


@pytest.mark.parametrize("prefix", ["", "local://", "file://"])
def test_a_local_path_is_the_same_with_and_without_protocol(tmp_path: Path, prefix: str) -> None:
    place = Location.of(f"{prefix}{tmp_path}/")
    assert place.local == tmp_path
    assert str(place) == str(tmp_path)
    assert Location.of(place) is place


def test_a_relative_path_is_one_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location.of("x").local == tmp_path / "x"


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_files_are_written_listed_and_read(kind: str, tmp_path: Path, memory: Location) -> None:
    place = Location.of(tmp_path / "place") if kind == "local" else memory
    assert not place.exists()
    assert place.folders() == place.files() == []
    (place / "b.json").write_bytes(b'{"a": [1]}')
    (place / "a.txt").write_bytes(b"x")
    (place / "sub/place").write_bytes(b"y")
    assert place.is_folder()
    assert place.files() == ["a.txt", "b.json"]
    assert place.folders() == ["sub"]
    assert (place / "sub").files() == ["place"]
    assert (place / "a.txt").files() == []
    assert not (place / "a.txt").is_folder()
    assert (place / "b.json").read_json() == {"a": [1]}
    assert (place / "b.json").name == "b.json"


def test_a_remote_place_is_shown_as_a_url(memory: Location) -> None:
    assert memory.local is None
    assert str(memory / "x") == "memory:///place/x"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json: not valid JSON"):
        Location.of(tmp_path / "x.json").read_json()


def test_what_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing: no such file"):
        Location.of(tmp_path / "nothing").read_bytes()
    with pytest.raises(InputError, match="can't be read"):
        Location.of(tmp_path).read_bytes()
    with pytest.raises(InputError, match="nosuch://x: can't open this URL"):
        Location.of("nosuch://x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/below: can't be written"):
        (Location.of(tmp_path / "file") / "below").write_bytes(b"x")


@pytest.mark.parametrize(
    ("method", "answer"), [("exists", "reached"), ("is_folder", "reached"), ("folders", "listed")]
)
def test_a_store_that_fails_is_named(
    memory: Location, monkeypatch: pytest.MonkeyPatch, method: str, answer: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError("connection lost")

    for name in ("exists", "isdir", "ls"):
        monkeypatch.setattr(type(memory.fs), name, fail)
    with pytest.raises(InputError, match=f"memory:.*can't be {answer} .*connection lost"):
        getattr(memory, method)()


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    """Tomograms are often linked into a project rather than copied."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("x")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "v.zarr").symlink_to(tmp_path / "real")
    (folder / "p.json").symlink_to(tmp_path / "real/file")
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    assert Location.of(folder).folders() == ["v.zarr"]
    assert Location.of(folder).files() == ["p.json"]


def test_a_file_is_read_into_a_buffer_that_is_used_again(tmp_path: Path, memory: Location) -> None:
    buffer = bytearray()
    for place in (Location.of(tmp_path), memory):
        for content in (b"long enough", b"short", b"", b"x" * 5000):
            (place / "file").write_bytes(content)
            with (place / "file").read_into(buffer) as read:
                assert read == content
    assert len(buffer) == 5000
    with pytest.raises(InputError, match="none: no such file"):
        (Location.of(tmp_path) / "none").read_into(buffer)
    with pytest.raises(InputError, match="no regular file"):
        Location.of(tmp_path).read_into(buffer)

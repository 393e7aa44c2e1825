from pathlib import Path

import pytest

from cryo_pick import network_source
from cryo_pick.network_source import NetworkSource, as_source, code_digest, source_key


def test_a_network_is_built_when_it_is_asked_for_and_once() -> None:
    built: list[object] = []

    def build() -> object:
        built.append(object())
        return built[-1]

    source = NetworkSource(build)  # type: ignore[arg-type]  # any object will do
    assert not built
    assert source.module is source.module
    assert len(built) == 1
    assert as_source(source) is source
    assert as_source(built[0]).module is built[0]  # type: ignore[arg-type]
    assert as_source(built[0]).key == ""  # type: ignore[arg-type]


def test_the_key_is_of_content_order_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("copy", b"1")):
        (tmp_path / name).write_bytes(content)
    a, b, copy = (tmp_path / name for name in ("a", "b", "copy"))
    assert source_key([a, b]) == source_key([copy, b])
    assert len({source_key(files) for files in ([a], [b], [a, b], [b, a])}) == 4
    before = source_key([a])
    monkeypatch.setattr(network_source, "code_digest", lambda: "of another release")
    assert source_key([a]) != before
    with pytest.raises(FileNotFoundError):
        source_key([tmp_path / "none"])


def test_the_code_is_all_code_and_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {code_digest.__wrapped__(), code_digest()}
    assert len(seen) == 1
    with monkeypatch.context() as patch:
        patch.setattr(network_source, "installed_version", lambda name: "0")
        seen.add(code_digest.__wrapped__())
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(network_source, "_places", lambda name: [str(package)])
    for content in ("", "x = 1\n", "x = 2\n"):
        (package / "part.py").write_text(content)
        seen.add(code_digest.__wrapped__())
    (package / "part.py").rename(package / "renamed.py")
    seen.add(code_digest.__wrapped__())
    assert len(seen) == 6

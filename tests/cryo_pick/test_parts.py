import sys

import pytest

from cryo_pick.errors import ConfigError
from cryo_pick.parts import build_part, find_part, part_names

PACKAGE = "parts_for_test"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with two parts, a private module, and one that leaves a trace when imported."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "adder.py").write_text(
        "def build(n, plus=1, raises=None):\n"
        "    if raises: raise {'value': ValueError, 'key': KeyError, 'memory': MemoryError}"
        "[raises]('bad')\n"
        "    return n + plus\n"
    )
    (folder / "other.py").write_text("def build(n): return -n\n")
    (folder / "_private.py").write_text("def build(n): return n\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield PACKAGE
    for name in [m for m in sys.modules if m.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_parts_are_the_public_modules(package):
    assert part_names(package) == ["adder", "other"]
    assert find_part(package, "other", "x").build(3) == -3


def test_given_and_chosen_values_meet(package):
    assert build_part(package, "adder", {"plus": 5}, "model", n=2) == 7
    assert build_part(package, "adder", {}, "model", n=2) == 3


@pytest.mark.parametrize(
    "name",
    ["os.system", "os", "../os", "..", "", "_private", "adder.build", "adder/../os", "/etc/passwd",
     "other\n", "Adder"],
)  # fmt: skip
def test_nothing_but_a_part_can_be_named(package, name, monkeypatch):
    monkeypatch.setattr("importlib.import_module", _no_other_import(package))
    with pytest.raises(ConfigError, match="no part"):
        build_part(package, name, {}, "model", n=1)


def _no_other_import(package):
    import importlib

    real = importlib.import_module

    def load(name, *rest):
        assert name == package
        return real(name, *rest)

    return load


def test_messages_name_key_part_and_closest(package):
    with pytest.raises(ConfigError, match=r"model.network: no part 'ader'.*closest: adder"):
        find_part(package, "ader", "model.network")
    with pytest.raises(ConfigError, match=r"model.params.pluss: adder .*closest: plus"):
        build_part(package, "adder", {"pluss": 1}, "model", n=1)


def test_what_is_given_cannot_be_overridden(package):
    with pytest.raises(ConfigError, match=r"params.n: adder has no such setting"):
        build_part(package, "adder", {"n": 5}, "model", n=1)


@pytest.mark.parametrize(
    "params", [{"plus": "x"}, *({"raises": r} for r in ("value", "key", "memory"))]
)
def test_a_value_that_build_cannot_take(package, params):
    with pytest.raises(ConfigError, match=r"model\.params: adder can't be built"):
        build_part(package, "adder", params, "model", n=1)

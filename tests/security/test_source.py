"""The source uses nothing that runs code out of data: no pickle, no eval, no unsafe YAML."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path
    for package in ("cryo_pick", "detector", "refiner", "metrics", "configs", "benchmarks")
    for path in (ROOT / package).rglob("*.py")
)
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint"}
FORBIDDEN_CALLS = {
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen",
    "hydra.utils.instantiate", "hydra.utils.call", "torch.hub.load", "torch.jit.load",
    "tarfile.open", "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
    "np.lib.format.write_array": ("allow_pickle", False),
}
"""What a call has to say in so many words."""
PICKLE_ERROR_ONLY = {"cryo_pick/fit.py"}
"""Modules that name the error which torch raises over a pickle, and nothing else of it."""
DYNAMIC_IMPORTS = {
    "cryo_pick/command.py",  # the module of a command, from a table in the source
    "benchmarks/engines.py",  # a network of ours, named in its own table
    "cryo_pick/formats/exchange.py",  # a format, from a table in the source
    "cryo_pick/parts.py",  # a part, from the names in one of our own packages
}
"""Where a module's name is not written out at the place of its import."""


def problems(path: str, source: str) -> Iterator[str]:
    """What a module does that it shouldn't."""
    for node in ast.walk(ast.parse(source)):
        found: list[str] = []
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            bad = [m for m in modules if m.split(".")[0] in FORBIDDEN_MODULES]
            found = [] if path in PICKLE_ERROR_ONLY else [f"imports {m}" for m in bad]
        elif isinstance(node, ast.Attribute):
            text = ast.unparse(node)
            if text.startswith("pickle.") and text != "pickle.UnpicklingError":
                found = [text]
        elif isinstance(node, ast.Call):
            found = list(call_problems(path, node))
        for what in found:
            yield f"{path}:{getattr(node, 'lineno', 0)}: {what}"


def call_problems(path: str, node: ast.Call) -> Iterator[str]:
    """What is wrong with one call."""
    name = ast.unparse(node.func)
    keywords = {k.arg: k.value for k in node.keywords}
    if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS:
        yield f"calls {name}"
    for called, (keyword, value) in NEEDED.items():
        given = keywords.get(keyword)
        if name == called and not (isinstance(given, ast.Constant) and given.value is value):
            yield f"calls {name} without {keyword}={value}"
    shell = keywords.get("shell")
    if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
        yield f"calls {name} with a shell"
    literal = node.args and isinstance(node.args[0], ast.Constant)
    if name.endswith("import_module") and not literal and path not in DYNAMIC_IMPORTS:
        yield f"imports {ast.unparse(node)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_module_runs_no_data(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert list(problems(name, path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import torch\ntorch.load(p)",
        "torch.load(p, weights_only=False)", "np.load(p)", "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)", "eval(text)", "exec(text)", "yaml.load(text, Loader=L)",
        "yaml.unsafe_load(text)", "subprocess.run(text, shell=True)", "os.system(text)",
        "importlib.import_module(name)", "hydra.utils.instantiate(config)", "__import__(name)",
    ],
)  # fmt: skip
def test_the_scan_finds_what_it_looks_for(source: str) -> None:
    assert list(problems("module.py", source))


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)",
        "yaml.safe_load(text)", "import_module('json')", "subprocess.run(words)",
    ],
)  # fmt: skip
def test_the_scan_lets_the_safe_ways_through(source: str) -> None:
    assert not list(problems("module.py", source))


def test_every_module_is_scanned() -> None:
    assert len(SOURCES) > 100

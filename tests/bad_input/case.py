"""A bad input as one row of a table, and what a command makes of it."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from unittest import mock

from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf

from cryo_pick.cli import main
from tests.bad_input.scene import FAST, Scene

Make = Callable[[Scene], list[str]]


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes
    ----------
    group, name
        Heading and first column of the table.
    code
        Exit code of the command.
    holds
        Pieces that the message must hold: the file, the field, what was expected, what came.
    make
        Makes the input and gives the words of the command line.
    """

    group: str
    name: str
    code: int
    holds: tuple[str, ...]
    make: Make


@dataclass(frozen=True)
class Outcome:
    """What a command did with a bad input.

    Attributes
    ----------
    words
        The command line, paths relative to the scene.
    code
    message
        What it said at the end, on stderr, paths relative to the scene.
    stderr, stdout
        All of it.
    changed
        Files outside the output folder that it changed, made or removed.
    written
        Files in its output folder.
    """

    words: tuple[str, ...]
    code: int
    message: str
    stderr: str
    stdout: str
    changed: frozenset[str]
    written: frozenset[str]


CASES: list[Case] = []


def case(group: str, name: str, code: int, *holds: str) -> Callable[[Make], Make]:
    """Add a row to the table; the function below makes the input."""

    def add(make: Make) -> Make:
        CASES.append(Case(group, name, code, holds, make))
        return make

    return add


def run_case(row: Case, root: Path, templates: Path) -> Outcome:
    """Make the input below `root` and run the command on it, in this process."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    scene = Scene(root, templates)
    words = row.make(scene)
    before = _content(root)
    out, err = io.StringIO(), io.StringIO()
    environment = {"CRYO_PICK_CACHE": str(root / "cache"), "COLUMNS": "200"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch("hydra.compose", _compose_once),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(words)
    after = _content(root)
    ours = (f"{scene.out.name}/", "cache/")
    changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
    said = err.getvalue().replace(f"{root}/", "").replace(str(root), ".")
    return Outcome(
        tuple(w.replace(f"{root}/", "").replace(str(root), ".") for w in words if w not in FAST),
        code,
        re.split("^cryo-pick: ", said, flags=re.MULTILINE)[-1].strip(),
        said,
        out.getvalue(),
        frozenset(n for n in changed if not n.startswith(ours)),
        frozenset(n for n in after if n.startswith(ours) and n not in before),
    )


@functools.cache
def _composed(words: tuple[str, ...]) -> DictConfig:
    return hydra_compose("config", overrides=list(words))


def _compose_once(name: str, overrides: list[str]) -> DictConfig:
    """Hydra's own composition, once for all cases that differ by their paths only.

    It takes most of the time of a command that fails early.
    """
    paths = {}
    others = []
    for word in overrides:
        key, _, value = word.partition("=")
        if key in ("data.project", "out") and value[:1] == "'" and "\\" not in value:
            paths[key] = value[1:-1]
        else:
            others.append(word)
    config = copy.deepcopy(_composed(tuple(others)))
    for key, value in paths.items():
        OmegaConf.update(config, key, value)
    return config


def _content(root: Path) -> dict[str, str]:
    """A digest of every file below a folder, links and pipes by what they are."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            regular = path.is_file() and not path.is_symlink()
            size = path.stat().st_size if regular else 0
            content = path.read_bytes() if regular and size < 2**24 else repr(size).encode()
            found[str(path.relative_to(root))] = blake2b(content).hexdigest()
    return found

"""The commands of the README and of the docs exist, with the flags that are shown."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "cryo-pick": "cryo_pick.cli",
    "detector": "detector.cli",
    "refiner": "refiner.cli",
}


def _commands() -> list[str]:
    """Lines in code blocks that start with one of our programs."""
    lines = []
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        shown = file.read_text(encoding="utf-8")
        for block in re.findall(r"```[a-z]*\n(.*?)```", shown, re.DOTALL):
            text = block.replace("\\\n", " ")
            lines += [x.split("  #")[0] for x in text.splitlines() if x.split(" ")[0] in PROGRAMS]
    return sorted(set(lines))


def test_there_are_commands_to_check() -> None:
    assert len(_commands()) >= 5


@pytest.mark.parametrize("line", _commands())
def test_shown_commands_exist_with_their_flags(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, command, *rest = shlex.split(line)
    main = import_module(PROGRAMS[program]).main
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for word in rest:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word.split('=')[0])}\b", shown), word


def test_pictures_and_links_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target

"""The docs are true: their commands run in their order, and the site builds without a warning.

A small project and a bundle of seconds stand in for real ones: `train` finds its steps done.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cryo_pick.serving
from cryo_pick.cli import main
from tests.cryo_pick.pipeline.conftest import SMOKE

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CHANGED = {"experiment=cpu": SMOKE}
"""A training of minutes becomes one of seconds."""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The words of each command of a page, without the program's name."""
    lines = [x for block in blocks(page, "bash") for x in block.replace("\\\n", " ").splitlines()]
    found = [shlex.split(line, comments=True) for line in lines if line.strip()]
    assert found
    assert all(words[0] == "cryo-pick" for words in found)
    return [[w for word in words[1:] for w in CHANGED.get(word, [word])] for words in found]


@pytest.fixture(scope="module")
def workplace(project: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `project`, `czii/train` and `bundle`, as the pages call them."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(bundle, place / "bundle")
    shutil.copytree(project, place / "project")
    config = place / "project/copick_config.json"
    config.write_text(config.read_text().replace(str(project), str(place / "project")))
    _lay_out_as_the_challenge(place / "project", place / "czii/train")
    return place


def _lay_out_as_the_challenge(project: Path, target: Path) -> None:
    """The same files without a config, and with picks called after their object alone."""
    shutil.copytree(project / "static", target / "static")
    for file in (project / "overlay/ExperimentRuns").glob("*/Picks/curation_0_*.json"):
        folder = target / "overlay/ExperimentRuns" / file.parts[-3] / "Picks"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.name.removeprefix("curation_0_"))


@pytest.fixture
def at_work(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as working folder; what serves a page ends at once."""

    def say(address: str, what: str, open_browser: bool) -> int:
        print(address)
        return 0

    monkeypatch.chdir(workplace)
    monkeypatch.setattr(cryo_pick.serving, "wait_for_interrupt", say)
    return workplace


RUNNABLE = sorted(file.name for file in DOCS.glob("*.md") if blocks(file.name, "bash"))
SERVES = {"tutorial.md", "viewing.md"}


@pytest.mark.parametrize("page", RUNNABLE)
def test_every_command_of_a_page_runs(
    page: str, at_work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("neuroglancer") is None:
        pytest.skip("the viewer's extra is not installed")
    for words in commands(page):
        if words[0] == "simulate":  # smaller
            words[words.index("--size") + 1 : words.index("--size") + 4] = ["24", "48", "48"]
        if words[0] == "train":
            words = [*words, *(w for w in SMOKE if w not in words)]
            # A bundle of other runs there would be refused.
            shutil.rmtree(at_work / words[words.index("--out") + 1], ignore_errors=True)
        # In tomograms as small and noisy as these, inspect may find that picks look shifted.
        allowed = (0, 3) if words[0] == "inspect" else (0,)
        assert main(words) in allowed, shlex.join(words) + capsys.readouterr().err
    captured = capsys.readouterr()
    assert ("http://127.0.0.1:" in captured.out) == (page in SERVES)


def test_the_notebook_runs(at_work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("notebook.md", "python"):
        exec(compile(block, "notebook.md", "exec"), {})
    assert 0 <= float(capsys.readouterr().out) <= 1
    assert (at_work / "mine.csv").is_file()


def test_a_command_has_a_page_with_all_its_flags() -> None:
    pages = _command_pages()
    page = pages["commands/cryo-pick-predict.md"]
    assert "`--model BUNDLE`" in page
    assert "cryo-pick predict project --model bundle" in page
    assert "[`cryo-pick predict`](cryo-pick-predict.md)" in pages["commands/index.md"]
    from cryo_pick.cli import COMMANDS

    assert {f"commands/cryo-pick-{c.name}.md" for c in COMMANDS} <= set(pages)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "commands/cryo-pick-view/index.html").is_file()
    table = (tmp_path / "where-to-change/index.html").read_text(encoding="utf-8")
    assert "detector/networks/NAME.py" in table


def _command_pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("command_pages", DOCS / "command_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages

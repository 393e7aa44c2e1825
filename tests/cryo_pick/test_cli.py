"""The three programs as they are installed: their tables, their help, what they import."""

import argparse
import importlib
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

import cryo_pick.cli
import detector.cli
import refiner.cli

PROGRAMS = {"cryo-pick": cryo_pick.cli, "detector": detector.cli, "refiner": refiner.cli}
ROWS = [(program, row) for program, module in PROGRAMS.items() for row in module.COMMANDS]
IDS = [f"{program} {row.name}" for program, row in ROWS]

HEAVY = {"torch", "monai", "timm", "zarr", "scipy", "numba", "matplotlib", "hydra", "openvino"}
"""What no help text may wait for."""

PROBE = """
import contextlib, io, json, sys
from {package}.cli import COMMANDS, main
seen = {{}}
for words in [["--help"], ["--version"], *([c.name, "--help"] for c in COMMANDS)]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main(words)
    seen[" ".join(words)] = [code, len(out.getvalue()), sorted(sys.modules)]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module", params=PROGRAMS)
def helped(request):
    """What each help text of one program returned, printed, and had imported by then."""
    package = PROGRAMS[request.param].__package__
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(package=package)],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return PROGRAMS[request.param], json.loads(done.stdout)


def test_help_of_program_and_commands_imports_nothing_heavy(helped):
    _, seen = helped
    for words, (code, length, modules) in seen.items():
        assert code == 0, words
        assert length > 10, words
        assert not HEAVY & set(modules), words


def test_help_imports_no_other_command(helped):
    module, seen = helped
    commands = {row.module for row in module.COMMANDS}
    assert not commands & set(seen["--help"][2])
    assert not commands & set(seen["--version"][2])
    imported = set()
    for row in module.COMMANDS:
        imported.add(row.module)
        assert commands & set(seen[f"{row.name} --help"][2]) == imported


@pytest.mark.parametrize(("program", "row"), ROWS, ids=IDS)
def test_every_row_has_a_module_that_works_as_a_command(program, row):
    assert find_spec(row.module) is not None
    module = importlib.import_module(row.module)
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    assert callable(module.run)


@pytest.mark.parametrize(("program", "row"), ROWS, ids=IDS)
def test_the_example_of_every_row_is_a_command_line_of_it(program, row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("project", "detector_0", "candidates"):
        (tmp_path / name).mkdir()
    assert row.example.split()[0] == row.name
    if row.configured:
        assert PROGRAMS[program].main([*row.example.split(), "--cfg"]) == 0
    else:
        parser = argparse.ArgumentParser(exit_on_error=False)
        importlib.import_module(row.module).arguments(parser)
        assert parser.parse_args(row.example.split()[1:])


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_installed_scripts_refuse_bad_words_in_one_line(program):
    script = f"import sys; from {PROGRAMS[program].__package__}.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "trian"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{program}: no command 'trian'; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "train.optimizer.stesp=1"], "no key 'train.optimizer.stesp'"),
        (["train", "train.folds=two"], "train.folds: expected a whole number, but got 'two'"),
        (["train", "loss=l3"], "no option 'l3' of loss"),
        (["train", "--fast"], "no flag '--fast'"),
        (["train", "train.folds=2,3"], "add -m to sweep"),
    ],
)
def test_bad_settings_of_a_real_command(capsys, words, message):
    assert detector.cli.main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""

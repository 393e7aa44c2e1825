"""Every flag of every command reaches the code: it is a setting, or the command reads it."""

import argparse
import ast
import importlib
import inspect

import pytest

import cryo_pick.cli
import cryo_pick.command
import detector.cli
import refiner.cli
from cryo_pick.command import CONFIG
from cryo_pick.config import Config

PROGRAMS = {"cryo-pick": cryo_pick.cli, "detector": detector.cli, "refiner": refiner.cli}
ROWS = [(program, row) for program, module in PROGRAMS.items() for row in module.COMMANDS]
IDS = [f"{program} {row.name}" for program, row in ROWS]


def names_read(module) -> set[str]:
    """Attributes that a module's source reads from any `args`, itself or in what it imports."""
    tree = ast.parse(inspect.getsource(module))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "args"
    }


def is_setting(key: str) -> bool:
    """Whether a dotted key names a field of the config."""
    here = Config
    for part in key.split("."):
        hints = getattr(here, "__dataclass_fields__", {})
        if part not in hints:
            return False
        here = getattr(inspect.getmodule(here), hints[part].type.split("[")[0], None)
    return True


@pytest.mark.parametrize(("program", "row"), ROWS, ids=IDS)
def test_every_flag_is_read(program, row):
    module = importlib.import_module(row.module)
    parser = argparse.ArgumentParser()
    module.arguments(parser)
    flags = {a.dest for a in parser._actions} - {"help"}
    settings = {f for f in flags if f.startswith(CONFIG)}
    wrong = {f for f in settings if not is_setting(f.removeprefix(CONFIG))}
    assert not wrong
    read = names_read(module)
    for helper in vars(module).values():  # flags that commands share are read where they are made
        if inspect.ismodule(helper) or not hasattr(helper, "__module__"):
            continue
        if str(helper.__module__).startswith("cryo_pick.commands."):
            read |= names_read(importlib.import_module(helper.__module__))
    assert flags - settings <= read


TALKS_TO_PEOPLE = {"demo", "view", "review", "completion"}
"""Commands whose result is a picture, a page in a browser or a script for a shell."""


@pytest.mark.parametrize(("program", "row"), ROWS, ids=IDS)
def test_every_command_with_a_result_prints_it_as_json(program, row):
    parser = cryo_pick.command.parser_of(program, row)
    flags = {option for action in parser._actions for option in action.option_strings}
    assert ("--json" in flags) == (row.name not in TALKS_TO_PEOPLE)


def test_a_flag_that_nobody_reads_would_be_found():
    module = importlib.import_module("cryo_pick.commands.view")
    assert "picks" in names_read(module)
    assert "nothing" not in names_read(module)
    assert is_setting("data.project")
    assert not is_setting("data.nothing")


def test_the_shared_flags_are_read():
    assert {"verbose", "quiet", "cfg", "multirun"} <= names_read(cryo_pick.command)

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.json_output import add_json, only_json, to_json


def test_it_is_one_line_without_nan():
    values = {"a": Path("x/ä"), "b": [math.nan, np.float32(0.5)], "c": np.inf, "d": np.arange(2)}
    text = to_json(values)
    assert "\n" not in text
    assert json.loads(text) == {"a": "x/ä", "b": [None, 0.5], "c": None, "d": [0, 1]}
    with pytest.raises(TypeError):
        to_json({"a": object()})


def test_only_the_answer_reaches_stdout(capsys):
    from rich.console import Console

    with only_json(True) as answer:
        print("next: something")
        Console().print("a table")
        answer({"a": 1})
        print("more")
    print("after")
    assert capsys.readouterr().out.splitlines() == ['{"a": 1}', "after"]


def test_without_it_everything_is_printed_and_nothing_added(capsys):
    with only_json(False) as answer:
        print("a table")
        answer({"a": 1})
    assert capsys.readouterr().out == "a table\n"


def test_an_error_gives_stdout_back(capsys):
    with pytest.raises(KeyError), only_json(True):
        raise KeyError("k")
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_the_flag_is_off_by_default():
    parser = argparse.ArgumentParser()
    add_json(parser)
    assert [parser.parse_args(w).json for w in ([], ["--json"])] == [False, True]

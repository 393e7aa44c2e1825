"""The examples of the API are true, on a real project and bundle."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pytest

import cryo_pick
from cryo_pick import api
from cryo_pick.errors import ConfigError, InputError


def test_the_examples_are_true(project, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [t for t in doctest.DocTestFinder().find(api, "api") if t.examples]
    names = {t.name.split(".")[-1] for t in found}
    assert names >= set(api.__all__) - {"open_project"}
    runner = doctest.DocTestRunner()
    for test in found:
        test.globs |= {"project": project, "bundle": bundle}
        assert runner.run(test).failed == 0, test.name


def test_the_package_has_what_the_api_has():
    assert set(cryo_pick.__all__) - {"__version__"} == set(api.__all__)
    assert cryo_pick.evaluate is api.evaluate
    assert set(api.__all__) <= set(dir(cryo_pick))
    with pytest.raises(AttributeError, match="evalute"):
        _ = cryo_pick.evalute


def test_importing_the_package_imports_no_library():
    code = "import cryo_pick, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_errors_say_what_to_do(project, tmp_path):
    with pytest.raises(InputError, match="several runs"):
        api.open_tomogram(project)
    with pytest.raises(InputError, match="no such file"):
        api.open_tomogram(tmp_path / "none.mrc")
    with pytest.raises(ConfigError, match=r"\.csv"):
        api.write_picks(tmp_path / "picks.txt", {}, api.open_project(project).types)


def test_thresholds_are_those_of_known_classes(bundle):
    from cryo_pick.candidates import Candidates

    picker = api.load_bundle(bundle, two_stage=False)
    empty = Candidates.empty(len(picker.bundle.types))
    assert len(api.cut_candidates(empty, picker)) == 0
    with pytest.raises(ValueError, match="unicorn"):
        api.cut_candidates(empty, picker, {"unicorn": 0.5})


def test_a_picker_finds_what_the_command_finds(project, bundle, tmp_path):
    from cryo_pick.cli import main

    out = tmp_path / "out"
    words = ["predict", str(project), "--model", str(bundle), "--out", str(out)]
    assert main([*words, "data.runs=[SIM-0000]"]) == 0  # the engine of both is the default
    picker = api.load_bundle(bundle)
    found = api.find_candidates(api.open_tomogram(project, "SIM-0000"), picker)
    picks = api.cut_candidates(found, picker)
    written = api.read_picks(out, picker.bundle.types).get("SIM-0000")
    assert len(picks) == (0 if written is None else len(written))
    if written is not None:
        np.testing.assert_allclose(np.sort(picks.scores), np.sort(written.scores), atol=0.02)

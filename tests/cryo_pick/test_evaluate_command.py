import argparse
import json
import subprocess
import sys

import numpy as np
import pytest

from cryo_pick.commands import evaluate as command
from cryo_pick.config import Config
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import create_project
from cryo_pick.formats.picks_csv import write_csv
from cryo_pick.objects import CZII_TYPES, ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.settings import DataSettings
from metrics.evaluate import evaluate

N_PER_CLASS = 8


def particles(seed):
    """Particles of every class on a grid wide enough that none hits another's neighbour."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(np.argwhere(np.ones((3, 4, 4))))[: 6 * N_PER_CLASS] * 300.0
    return Picks(places, np.arange(len(places)) % 6)


@pytest.fixture
def truth():
    return {f"run{i}": particles(i) for i in range(3)}


@pytest.fixture
def picks(truth):
    """The truth without its first 5 particles, and 7 false picks, in each run."""
    false = Picks(np.full((7, 3), 5000.0) + 500 * np.arange(7)[:, None], np.zeros(7))
    return {run: Picks.concatenate([t[np.arange(5, len(t))], false]) for run, t in truth.items()}


def make_project(folder, truth, user="truth", types=CZII_TYPES):
    project = create_project(folder, "test", types)
    for run, picks in truth.items():
        (folder / "static" / "ExperimentRuns" / run).mkdir(parents=True, exist_ok=True)
        project.write_picks(run, picks, user, "1")
    return project


def csv_of(path, picks):
    write_csv(path, picks, CZII_TYPES)
    return str(path)


def run(*words, config=None):
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([str(w) for w in words]), config)


def test_json_is_that_of_the_evaluation(tmp_path, capsys, picks, truth):
    make_project(tmp_path / "p", truth)
    code = run(csv_of(tmp_path / "a.csv", picks), tmp_path / "p", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert printed == evaluate(picks, truth, CZII_TYPES).to_json()


def test_csv_truth_needs_objects(tmp_path, capsys, picks, truth):
    a, b = csv_of(tmp_path / "a.csv", picks), csv_of(tmp_path / "b.csv", truth)
    with pytest.raises(ConfigError, match=r"b\.csv.*--objects czii"):
        run(a, b)
    assert run(a, b, "--objects", "czii", "--json") == 0
    assert json.loads(capsys.readouterr().out) == evaluate(picks, truth, CZII_TYPES).to_json()


def test_objects_of_another_project(tmp_path, capsys, picks, truth):
    wide = ParticleTypes(tuple(ParticleType(t.name, t.label, 400.0) for t in CZII_TYPES))
    make_project(tmp_path / "p", {}, types=wide)
    a, b = csv_of(tmp_path / "a.csv", picks), csv_of(tmp_path / "b.csv", truth)
    run(a, b, "--objects", tmp_path / "p", "--json")
    assert json.loads(capsys.readouterr().out) == evaluate(picks, truth, wide).to_json()


def test_objects_that_are_nothing_are_refused(tmp_path, truth):
    b = csv_of(tmp_path / "b.csv", truth)
    with pytest.raises(ConfigError, match="--objects cziii: expected czii, project, or a copick"):
        run(b, b, "--objects", "cziii")


def test_table_shows_every_class_and_the_score(tmp_path, capsys, picks, truth):
    make_project(tmp_path / "p", truth)
    run(csv_of(tmp_path / "a.csv", picks), tmp_path / "p")
    out = capsys.readouterr().out
    expected = evaluate(picks, truth, CZII_TYPES)
    for name, counts in expected.per_class.items():
        row = next(line for line in out.splitlines() if name in line)
        for value in (counts.tp, counts.fp, counts.fn, f"{counts.fbeta():.4f}"):
            assert f" {value} " in row
    assert out.splitlines()[-1] == (
        f"weighted F4 {expected.score:.4f} (one-to-one {expected.one_to_one.score:.4f}), 3 runs"
    )


def test_against_adds_the_paired_difference(tmp_path, capsys, picks, truth):
    b = {r: p[np.arange(4 + 4 * i, len(p))] for i, (r, p) in enumerate(picks.items())}
    words = (csv_of(tmp_path / "a.csv", picks), csv_of(tmp_path / "t.csv", truth))
    against = ("--objects", "czii", "--against", csv_of(tmp_path / "b.csv", b))
    run(*words, *against, "--json")
    first = capsys.readouterr().out
    run(*words, *against, "--json")
    assert capsys.readouterr().out == first
    found = json.loads(first)["against"]
    assert found["score"] == evaluate(b, truth, CZII_TYPES).score
    expected = evaluate(picks, truth, CZII_TYPES).score - found["score"]
    assert found["difference"] == pytest.approx(expected)
    low, high = found["interval"]
    assert 0 < low <= found["difference"] <= high
    assert found["probability"] == 1.0
    assert list(found["per_class"]) == list(CZII_TYPES.names)
    run(*words, *against)
    assert f"A minus B {expected:+.4f}" in capsys.readouterr().out.splitlines()[-1]


def test_confidence_comes_from_the_config(tmp_path, capsys, picks, truth):
    config = Config()
    config.fit.confidence = 0.5
    t = csv_of(tmp_path / "t.csv", truth)
    a = csv_of(tmp_path / "a.csv", picks)
    run(a, t, "--objects", "czii", "--against", t, "--json", config=config)
    assert json.loads(capsys.readouterr().out)["against"]["confidence"] == 0.5


def test_own_picks_in_the_project_of_the_truth(tmp_path, capsys, picks, truth):
    project = make_project(tmp_path / "p", truth)
    for name, p in picks.items():
        project.write_picks(name, p, "cryo-pick", "0")
    expected = evaluate(picks, truth, CZII_TYPES).score
    run(tmp_path / "p", tmp_path / "p", "--json")
    assert json.loads(capsys.readouterr().out)["score"] == pytest.approx(expected)
    run(tmp_path / "p", tmp_path / "p", "--user", "truth", "--json")
    assert json.loads(capsys.readouterr().out)["score"] == 1.0
    run(tmp_path / "p", tmp_path / "p", "--truth-user", "cryo-pick", "--json")
    assert json.loads(capsys.readouterr().out)["score"] == 1.0


def test_runs_without_truth_are_ignored_and_told(tmp_path, capsys, caplog, picks, truth):
    make_project(tmp_path / "p", {**truth, "unlabelled": Picks.empty()})
    more = {"unlabelled": picks["run0"], "strange": picks["run0"], **picks}
    del more["run2"]
    run(csv_of(tmp_path / "a.csv", more), tmp_path / "p", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed == evaluate({**picks, "run2": Picks.empty()}, truth, CZII_TYPES).to_json()
    assert (
        "TRUTH has no picks in these runs, or they are not scored: unlabelled, strange"
        in caplog.text
    )
    assert "all missed: run2" in caplog.text


def test_only_the_chosen_runs_are_scored(tmp_path, capsys, picks, truth):
    make_project(tmp_path / "p", truth)
    a = csv_of(tmp_path / "a.csv", {"run1": picks["run1"]})
    for chosen in ({"runs": ["run1"]}, {"exclude_runs": ["run0", "run2"]}):
        run(a, tmp_path / "p", "--json", config=Config(data=DataSettings(**chosen)))
        printed = json.loads(capsys.readouterr().out)
        alone = evaluate({"run1": picks["run1"]}, {"run1": truth["run1"]}, CZII_TYPES)
        assert printed == alone.to_json()


def test_a_chosen_run_that_is_not_there_is_named(tmp_path, picks, truth):
    make_project(tmp_path / "p", truth)
    config = Config(data=DataSettings(runs=["run11"]))
    with pytest.raises(InputError, match=r"no run 'run11'; .*run1"):
        run(csv_of(tmp_path / "a.csv", picks), tmp_path / "p", config=config)


def test_empty_picks_score_zero(tmp_path, capsys, truth):
    t = csv_of(tmp_path / "t.csv", truth)
    assert run(csv_of(tmp_path / "a.csv", {}), t, "--objects", "czii", "--json") == 0
    assert json.loads(capsys.readouterr().out)["score"] == 0.0


def test_an_unknown_class_is_named_with_the_closest(tmp_path, truth):
    t = csv_of(tmp_path / "t.csv", truth)
    strange = tmp_path / "a.csv"
    strange.write_text("experiment,particle_type,x,y,z\nrun0,ribosom,1,2,3\n")
    with pytest.raises(InputError, match=r"ribosom.*ribosome"):
        run(strange, t, "--objects", "czii")


def test_an_empty_truth_is_refused(tmp_path, picks):
    a = csv_of(tmp_path / "a.csv", picks)
    with pytest.raises(InputError, match=r"t\.csv: expected true picks to score against"):
        run(a, csv_of(tmp_path / "t.csv", {}), "--objects", "czii")


def test_weights_that_are_all_zero_are_refused(tmp_path, picks, truth):
    types = ParticleTypes(tuple(ParticleType(t.name, t.label, t.radius, 0.0) for t in CZII_TYPES))
    make_project(tmp_path / "p", truth, types=types)
    with pytest.raises(ConfigError, match="every object has score weight 0"):
        run(csv_of(tmp_path / "a.csv", picks), tmp_path / "p")


def test_neither_the_command_nor_metrics_import_torch():
    code = (
        "import sys, cryo_pick.commands.evaluate;import metrics; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cryo_pick.command import Command, explain, main
from cryo_pick.errors import ConfigError, InputError, OutOfMemory, PartialFailure, Preempted

PLAIN = Command("plain", "does something", "fake_plain", example="plain a.mrc")
TUNED = Command("tuned", "does something with settings", "fake_tuned", configured=True)


@pytest.fixture
def fake(monkeypatch):
    """Two commands whose modules record how they were called; `do` is what they do."""
    calls = []
    state = SimpleNamespace(calls=calls, do=lambda args, config: None)

    def arguments(parser):
        parser.add_argument("paths", nargs="*")
        parser.add_argument("--count", type=int, default=1)
        parser.add_argument("--set", action="append", default=[])
        parser.add_argument("--pair", nargs=2)
        parser.add_argument("--out", dest="config.out", metavar="DIR")

    def run(args, config):
        calls.append((args, config))
        return state.do(args, config)

    for name in ("fake_plain", "fake_tuned"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(arguments=arguments, run=run))
    return state


def call(*words):
    return main("program", (PLAIN, TUNED), words)


def test_help_lists_every_command(capsys):
    assert call("--help") == 0
    out = capsys.readouterr().out
    assert "usage: program COMMAND" in out
    assert "plain  does something\n" in out


def test_no_words_at_all_is_a_usage_error_that_shows_the_help(capsys):
    assert call() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: program COMMAND" in captured.err


def test_version(capsys):
    assert call("--version") == 0
    assert capsys.readouterr().out == "program 0.1.0\n"


def test_help_of_a_command(fake, capsys):
    assert call("plain", "--help") == 0
    out = capsys.readouterr().out
    assert "usage: program plain [-h] [--count COUNT]" in out
    assert "program plain a.mrc" in out
    assert "key=value" not in out
    assert call("tuned", "-h") == 0
    assert "[key=value ...]" in capsys.readouterr().out
    assert fake.calls == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plian"], "no command 'plian'; closest: plain"),
        (["--versoin"], "no flag '--versoin'; closest: --version"),
        (["plain", "--cuont", "3"], "no flag '--cuont'; closest: --count"),
        (["plain", "--cuont=3"], "no flag '--cuont'; closest: --count"),
        (["plain", "--count", "many"], "argument --count: invalid int value: 'many'"),
        (["plain", "--count"], "argument --count: expected one argument"),
        (["plain", "--coun", "3"], "no flag '--coun'; closest: --count"),
        (["plain", "--cfg"], "no flag '--cfg'"),
        (["plain", "fold=0"], "'fold=0': this command takes no key=value settings"),
        (["tuned", "train.fodl=0"], "no key 'train.fodl'; closest: train.fold"),
        (["tuned", "train.folds=two"], "train.folds: expected a whole number, but got 'two'"),
        (["tuned", "loss=l3"], "no option 'l3' of loss"),
        (["tuned", "-m", "fold=0,1"], "-m: expected out=DIR"),
    ],
)
def test_bad_words_end_with_2_and_one_line(fake, capsys, words, message):
    assert call(*words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("program: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert fake.calls == []


def test_settings_are_told_from_paths_wherever_they_stand(fake):
    assert call("tuned", "fold=1", "a.mrc", "--count", "2", "fit.beta=2", "/x/b=1.mrc") == 0
    ((args, config),) = fake.calls
    assert args.paths == ["a.mrc", "/x/b=1.mrc"]
    assert args.count == 2
    assert (config.train.fold, config.fit.beta) == (1, 2.0)


def test_a_path_that_looks_like_a_setting(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run=1").touch()
    assert call("plain", "run=1") == 0
    assert call("tuned", "--", "run=1") == 0
    assert [args.paths for args, _ in fake.calls] == [["run=1"], ["run=1"]]
    assert fake.calls[0][1] is None


def test_the_value_of_a_flag_is_no_setting(fake):
    words = ["--set", "ribosome=0.3", "--pair", "a=1", "fold=7", "--set=x=2"]
    assert call("plain", *words) == 0
    assert call("tuned", *words, "fold=1") == 0
    for args, _ in fake.calls:
        assert args.set == ["ribosome=0.3", "x=2"]
        assert args.pair == ["a=1", "fold=7"]
    assert fake.calls[1][1].train.fold == 1


def test_a_flag_can_be_a_setting_and_a_setting_wins(fake):
    assert call("tuned", "--out", "some, folder") == 0
    assert call("tuned", "--out", "flag", "out=setting") == 0
    assert [config.out for _, config in fake.calls] == ["some, folder", "setting"]


def test_cfg_prints_the_config_and_runs_nothing(fake, capsys):
    assert call("tuned", "--cfg", "--out", "here", "seed=3") == 0
    captured = capsys.readouterr()
    assert "\nout: here\n" in captured.out
    assert captured.out.count("    seed: 3\n") == 2
    assert fake.calls == []


def test_a_sweep_runs_each_combination_in_its_folder(fake):
    assert call("tuned", "-m", "fold=0,1", "fit.beta=2,4", "out=sweep") == 0
    found = [(c.train.fold, c.fit.beta, Path(c.out)) for _, c in fake.calls]
    assert found == [
        (0, 2.0, Path("sweep/0")),
        (0, 4.0, Path("sweep/1")),
        (1, 2.0, Path("sweep/2")),
        (1, 4.0, Path("sweep/3")),
    ]


def test_a_sweep_is_checked_whole_before_it_starts(fake, capsys):
    assert call("tuned", "-m", "fold=0,7", "out=sweep") == 2
    assert "train.fold: expected 0 to 1" in capsys.readouterr().err
    assert fake.calls == []


def test_a_job_that_fails_does_not_stop_the_sweep(fake, capsys):
    def fail_first(args, config):
        if config.train.fold == 0:
            raise InputError("no picks")

    fake.do = fail_first
    assert call("tuned", "-m", "fold=0,1", "out=sweep") == 4
    err = capsys.readouterr().err
    assert f"{Path('sweep/0')}: no picks" in err
    assert f"runs that failed: {Path('sweep/0')}" in err
    assert len(fake.calls) == 2


def test_a_sweep_ends_when_it_is_preempted(fake):
    def stop(args, config):
        raise Preempted("run the same command again")

    fake.do = stop
    assert call("tuned", "-m", "fold=0,1", "out=sweep") == 75
    assert len(fake.calls) == 1


def test_the_exit_code_of_the_command_is_passed_on(fake):
    fake.do = lambda args, config: 4
    assert call("plain") == 4


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("x: bad"), 2, "program: x: bad"),
        (InputError("y: bad"), 3, "program: y: bad"),
        (PartialFailure("a, b"), 4, "program: a, b"),
        (OutOfMemory("gone"), 5, "program: gone"),
        (Preempted("later"), 75, "program: later"),
        (MemoryError(), 5, "program: out of memory"),
        (KeyboardInterrupt(), 130, "program: interrupted"),
        (KeyError("k"), 1, "program: bug: KeyError: 'k' (-vv shows where)"),
        (ValueError("two\nlines"), 1, "program: bug: ValueError: two lines (-vv shows where)"),
        (OSError(28, "No space left", "f"), 1, "program: [Errno 28] No space left: 'f' (-vv"),
    ],
)
def test_every_error_has_its_code_and_no_traceback(fake, capsys, error, code, message):
    def fail(args, config):
        raise error

    fake.do = fail
    assert call("plain") == code
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["-vv"], ["-v", "-v"], ["--verbose", "-v"]])
def test_very_verbose_shows_the_traceback(fake, capsys, words):
    def fail(args, config):
        raise KeyError("k")

    fake.do = fail
    assert call("plain", *words) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_memory_of_an_accelerator_counts_too():
    class OutOfMemoryError(RuntimeError):
        """Named as torch's."""

    assert explain(OutOfMemoryError("CUDA")) == ("out of memory CUDA", 5)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], {"info", "warning"}),
        (["-v"], {"debug", "info", "warning"}),
        (["-q"], {"warning"}),
    ],
)
def test_verbosity(fake, capsys, words, shown):
    def talk(args, config):
        log = logging.getLogger("detector.something")
        log.debug("debug")
        log.info("info")
        log.warning("warning")
        print("result")

    fake.do = talk
    assert call("plain", *words) == 0
    captured = capsys.readouterr()
    assert {line.split()[-1] for line in captured.err.splitlines()} == shown
    assert captured.out == "result\n"

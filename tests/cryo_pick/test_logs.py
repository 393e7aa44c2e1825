import io
import logging
import warnings
from contextlib import contextmanager, redirect_stderr

import pytest

from cryo_pick import logs
from cryo_pick.logs import duration, logging_to_stderr, progress


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self):
        return True


@contextmanager
def terminal():
    """Make stderr a terminal inside the block."""
    logs._console.cache_clear()
    with redirect_stderr(Terminal()) as stream:
        yield stream
    logs._console.cache_clear()


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_everything_is_as_before_afterwards():
    root, ours = logging.getLogger(), logging.getLogger("cryo_pick")
    before = (list(root.handlers), root.level, ours.level)
    with logging_to_stderr(2):
        assert ours.isEnabledFor(logging.DEBUG)
    assert (list(root.handlers), root.level, ours.level) == before


def test_warnings_become_log_lines(capsys):
    with warnings.catch_warnings(), logging_to_stderr():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("careful", stacklevel=1)
    assert "WARNING" in capsys.readouterr().err


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(logs.time, "monotonic", lambda: next(clock))
    with logging_to_stderr(), progress("Training", total=8, unit="steps") as advance:
        for _ in range(8):
            advance(1)
    lines = [line.split("INFO    ")[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["Training: 3 of 8 steps, 50 s left", "Training: 6 of 8 steps, 20 s left"]


def test_quick_work_says_nothing_without_a_terminal(capsys):
    with logging_to_stderr(), progress("Reading", total=3) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


def test_bars_on_a_terminal():
    with terminal() as stream, logging_to_stderr(), progress("Training", total=2) as advance:
        advance(1)
        with progress("Tiles", total=4) as inner:
            inner(4)
        logging.getLogger("cryo_pick").info("a line above the bars")
        advance(1)
    text = stream.getvalue()
    assert "Training" in text
    assert "2/2" in text
    assert "a line above the bars" in text


def test_quiet_shows_no_bar():
    with terminal() as stream, logging_to_stderr(-1), progress("Training", total=2) as advance:
        advance(2)
    assert stream.getvalue() == ""


def test_a_bar_ends_with_its_block_after_an_error():
    with pytest.raises(KeyError), terminal(), logging_to_stderr(), progress("Training", total=2):
        raise KeyError("x")
    assert logs._running == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.4, "4 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3720, "1 h 02 min"),
        (float("nan"), "unknown time"),
        (float("inf"), "unknown time"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text

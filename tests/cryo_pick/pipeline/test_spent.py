import time
from pathlib import Path

import pytest

from cryo_pick.errors import InputError
from cryo_pick.pipeline.spent import FILE, Spent, read_spent, spending, write_spent


def test_a_step_is_timed_and_read_back(tmp_path: Path) -> None:
    spent = Spent({}, {})
    with spending(spent, "sleeping"):
        time.sleep(0.25)
    assert spent.seconds["sleeping"] >= 0.2  # rounded to 0.1
    write_spent(tmp_path, spent)
    assert read_spent(tmp_path) == spent


def test_a_start_that_found_things_done_keeps_what_they_took() -> None:
    first = Spent({"a": 60.0, "b": 5.0}, {"a": 100})
    again = Spent({"a": 0.1, "b": 7.0, "c": 1.0}, {"a": 20, "b": 30, "c": 10})
    assert again.at_least(first) == Spent(
        {"a": 60.0, "b": 7.0, "c": 1.0}, {"a": 100, "b": 30, "c": 10}
    )


def test_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert read_spent(tmp_path) == Spent({}, {})


@pytest.mark.parametrize("text", ["[]", "{", '{"seconds": {"a": "x"}, "memory": {}}', "{}"])
def test_another_file_of_that_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InputError, match=r"spent\.json: expected seconds"):
        read_spent(tmp_path)

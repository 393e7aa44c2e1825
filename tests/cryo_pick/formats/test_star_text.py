"""STAR text, against the starfile package."""

from pathlib import Path

import pytest
import starfile
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.formats.star_text import MAX_LINE, format_loop, parse_star, quote

TEXT = """\
# version 30001

data_global  # values
_rlnTomoName  TS_1
_rlnNote 'two words'

data_particles

loop_
_rlnTomoName #1
_rlnCoordinateX #2
TS_1 1.5 # a comment
"TS 2"\t2

'a#b' -3e1
"""


def test_blocks_with_values_and_loops() -> None:
    values, loop = parse_star(TEXT)
    assert (values.name, values.columns) == ("global", ["rlnTomoName", "rlnNote"])
    assert values.rows == [["TS_1", "two words"]]
    assert (loop.name, loop.columns) == ("particles", ["rlnTomoName", "rlnCoordinateX"])
    assert loop.rows == [["TS_1", "1.5"], ["TS 2", "2"], ["a#b", "-3e1"]]
    assert loop.lines == [12, 13, 15]
    assert loop.column("rlnCoordinateX") == ["1.5", "2", "-3e1"]


def test_windows_line_ends_and_empty_blocks() -> None:
    blocks = parse_star(TEXT.replace("\n", "\r\n") + "\r\ndata_\r\n")
    assert blocks[1].rows[2] == ["a#b", "-3e1"]
    assert (blocks[2].name, blocks[2].columns, blocks[2].rows) == ("", [], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no data_ block"),
        ("# only a comment", "no data_ block"),
        ("_a 1\n", "line 1: expected a line that starts with data_"),
        ("data_\nx\n", "line 2: expected a label or a value of a loop"),
        ("data_\n_a\n", "line 2: expected one value for _a"),
        ("data_\n_a 1\n_a 2\n", "line 3: label _a occurs twice in data_"),
        ("data_\nloop_\n_a\n_b\n1\n", "line 5: expected 2 values, but got 1"),
        ("data_\nloop_\n_a\n1\nloop_\n_b\n", "line 5: a second loop_ in block data_"),
        ("data_\n" + "x" * (MAX_LINE + 1), "line 2: longer than 20000 characters"),
    ],
)
def test_what_is_no_star(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_star(text)


def test_many_quotes_take_no_time() -> None:
    block = parse_star("data_\nloop_\n_a\n_b\n" + "'a " * 2 + "\n")[0]
    assert block.rows == [["'a", "'a"]]
    with pytest.raises(ValueError, match="expected 1 values"):
        parse_star("data_\nloop_\n_a\n" + "'a " * 6000)


VALUES = [
    "TS_1",
    "TS 1",
    "",
    "_x",
    "#x",
    "a#b",
    "data_x",
    "loop_",
    "it's",
    "it's two",
    'a "b" c',
    "Å",
]


@pytest.mark.parametrize("value", VALUES)
def test_any_value_is_quoted_and_read_back(value: str) -> None:
    assert parse_star(format_loop("x", ["a", "b"], [[value, "1"]]))[0].rows == [[value, "1"]]


@pytest.mark.parametrize("value", ["a\nb", "a\tb", "both ' and \""])
def test_values_that_star_cannot_hold(value: str) -> None:
    with pytest.raises(ValueError, match="Expected text that STAR can hold"):
        quote(value)


def test_starfile_reads_what_is_written(tmp_path: Path) -> None:
    rows = [["TS 1", "1.5"], ["TS 2", "2"], ["plain", "3"]]
    (tmp_path / "x.star").write_text(format_loop("particles", ["rlnTomoName", "rlnX"], rows))
    table = starfile.read(tmp_path / "x.star", always_dict=True)["particles"]
    assert table["rlnTomoName"].tolist() == ["TS 1", "TS 2", "plain"]
    assert table["rlnX"].tolist() == [1.5, 2, 3]


@given(st.lists(st.lists(st.text("ab '\"#_Å;[$", max_size=6), min_size=2, max_size=2), max_size=4))
def test_written_and_read_back(rows: list[list[str]]) -> None:
    rows = [row for row in rows if not any("'" in v and '"' in v for v in row)]
    assert parse_star(format_loop("x", ["a", "b"], rows))[0].rows == rows


@given(st.text(), st.booleans())
def test_any_text_is_read_or_refused(text: str, with_block: bool) -> None:
    try:
        blocks = parse_star("data_x\nloop_\n_a\n" * with_block + text)
    except ValueError:
        return
    assert all(len(row) == len(b.columns) for b in blocks for row in b.rows)

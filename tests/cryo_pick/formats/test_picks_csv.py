"""Picks CSV."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.picks_csv import read_csv, write_csv
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks

HEADER = "id,experiment,particle_type,x,y,z,score\n"


def read(tmp_path: Path, types: ParticleTypes, text: str | bytes) -> dict[str, Picks]:
    path = tmp_path / "picks.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, types)


def test_rows_become_picks_by_run(tmp_path: Path, types: ParticleTypes) -> None:
    text = HEADER + "0,A,ribosome,1,2,3,0.5\n1,B,apo-ferritin,4,5,6,1\n2,A,ribosome,-7,8e1,9.5,0\n"
    picks = read(tmp_path, types, text)
    assert list(picks) == ["A", "B"]
    assert picks["A"].positions.tolist() == [[3, 2, 1], [9.5, 80, -7]]
    assert picks["A"].classes.tolist() == [1, 1]
    assert picks["A"].scores.tolist() == [0.5, 0]


@pytest.mark.parametrize(
    "text",
    [
        "experiment,particle_type,x,y,z\nA,ribosome,1,2,3\n",
        "z,y,x,particle_type,experiment,note\n3,2,1,ribosome,A,hello\n",
        "\ufeffid,Experiment, particle_type ,x,y,z\r\n7,A,ribosome,1,2,3\r\n\r\n",
        'experiment,particle_type,x,y,z,score\n"A",ribosome, 1 ,2,3,\n',
    ],
    ids=["no id, no score", "other order, more columns", "from Windows", "quotes, empty score"],
)
def test_columns_are_found_by_name(tmp_path: Path, types: ParticleTypes, text: str) -> None:
    picks = read(tmp_path, types, text)
    assert list(picks) == ["A"]
    assert picks["A"].positions.tolist() == [[3, 2, 1]]
    assert picks["A"].scores.tolist() == [1]


def test_a_header_alone_means_no_picks(tmp_path: Path, types: ParticleTypes) -> None:
    assert read(tmp_path, types, HEADER) == {}


@pytest.mark.parametrize("text", ["", "\n", "0,A,ribosome,1,2,3,1\n", "experiment,x,y,z\n"])
def test_a_file_without_header(tmp_path: Path, types: ParticleTypes, text: str) -> None:
    with pytest.raises(InputError, match=r"picks\.csv: line 1: expected the header id,experiment"):
        read(tmp_path, types, text)


def test_a_column_twice(tmp_path: Path, types: ParticleTypes) -> None:
    with pytest.raises(InputError, match="column x occurs twice"):
        read(tmp_path, types, "experiment,particle_type,x,x,y,z\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,A,ribosome,1,two,3,1", "line 2: field `y` must be a finite number, but is 'two'"),
        ("0,A,ribosome,nan,2,3,1", "field `x` must be a finite number, but is 'nan'"),
        ("0,A,ribosome,1,2,1e999,1", "field `z` must be a finite number, but is '1e999'"),
        ("0,A,ribosome,,2,3,1", "field `x` must be a finite number, but is ''"),
        ("0,A,ribosome,1_0,2,3,1", "field `x` must be a finite number, but is '1_0'"),
        ("0,A,ribosome,1,2,3,inf", "field `score` must be a finite number, but is 'inf'"),
        ("0,A,ribosom,1,2,3,1", "line 2: no particle type 'ribosom'; closest: ribosome"),
        ("0,,ribosome,1,2,3,1", "line 2: no run name"),
        ("0,A,ribosome,1,2,3", "line 2: expected 7 fields, but found 6"),
    ],
)
def test_a_row_that_cannot_be_used(
    tmp_path: Path, types: ParticleTypes, row: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"picks\.csv: (line 2: )?{message}"):
        read(tmp_path, types, HEADER + row + "\n")


def test_the_first_ten_problems_are_listed(tmp_path: Path, types: ParticleTypes) -> None:
    rows = "0,A,ribosome,x,2,3,1\n" * 50
    with pytest.raises(InputError, match=r"(?s)line 2: .*line 11: .*and 40 more") as caught:
        read(tmp_path, types, HEADER + rows)
    assert "line 12" not in str(caught.value)


def test_an_unknown_class_is_named_once(tmp_path: Path, types: ParticleTypes) -> None:
    rows = "0,A,virus,1,2,3,1\n" * 50
    with pytest.raises(InputError, match=r"^\S+: line 2: no particle type 'virus'; known: .*$"):
        read(tmp_path, types, HEADER + rows)


def test_what_is_no_text(tmp_path: Path, types: ParticleTypes) -> None:
    with pytest.raises(InputError, match="byte 0 is not UTF-8"):
        read(tmp_path, types, b"\xff\xfe")
    with pytest.raises(InputError, match="it holds a zero byte"):
        read(tmp_path, types, HEADER + "\0")
    with pytest.raises(InputError, match="line 2: field larger than field limit"):
        read(tmp_path, types, HEADER + "x" * 200_000)
    with pytest.raises(InputError, match=r"none\.csv: can't be read \(No such file"):
        read_csv(tmp_path / "none.csv", types)
    with pytest.raises(InputError, match="can't be read"):
        read_csv(tmp_path, types)


def test_the_module_csv_reads_what_is_written(tmp_path: Path, types: ParticleTypes) -> None:
    picks = {"A": Picks([[3.25, 2, 1]], [1], [0.125]), "B": Picks.empty()}  # type: ignore[arg-type]
    write_csv(tmp_path / "p.csv", picks, types)
    with (tmp_path / "p.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {
                "id": "0",
                "experiment": "A",
                "particle_type": "ribosome",
                "x": "1.0000",
                "y": "2.0000",
                "z": "3.2500",
                "score": "0.125000",
            }
        ]


def test_a_class_that_is_none_is_not_written(tmp_path: Path, types: ParticleTypes) -> None:
    with pytest.raises(ValueError, match="classes below 3, but got 7"):
        write_csv(tmp_path / "p.csv", {"A": Picks(np.zeros((1, 3)), np.array([7]))}, types)
    assert list(tmp_path.iterdir()) == []


coordinate = st.floats(-1e5, 1e5)
row = st.tuples(
    coordinate, coordinate, coordinate, st.integers(0, 2), st.floats(0, 1), st.integers(0, 2)
)


@given(
    st.lists(row, max_size=8), st.lists(st.text("ab -'\",;_#Å", min_size=1), min_size=3, max_size=3)
)
def test_written_and_read_back(
    tmp_path: Path, types: ParticleTypes, rows: list[tuple[float, ...]], runs: list[str]
) -> None:
    names = [f"r{i}{run}e" for i, run in enumerate(runs)]
    table = np.array(rows).reshape(-1, 6)
    picks = {}
    for i, name in enumerate(names):
        part = table[table[:, 5] == i]
        picks[name] = Picks(part[:, :3], part[:, 3].astype(int), part[:, 4])
    write_csv(tmp_path / "p.csv", picks, types)
    back = read_csv(tmp_path / "p.csv", types)
    assert set(back) == {name for name in names if len(picks[name])}
    for name, found in back.items():
        np.testing.assert_allclose(found.positions, picks[name].positions, atol=1e-3)
        np.testing.assert_allclose(found.scores, picks[name].scores, atol=1e-6)
        np.testing.assert_array_equal(found.classes, picks[name].classes)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.booleans())
def test_arbitrary_bytes_are_read_or_refused(
    tmp_path: Path, types: ParticleTypes, content: bytes, with_header: bool
) -> None:
    message = "picks.csv"
    try:
        picks = read(tmp_path, types, HEADER.encode() * with_header + content)
    except InputError as error:
        message = str(error)
    else:
        assert all(len(p) for p in picks.values())
    assert "picks.csv" in message

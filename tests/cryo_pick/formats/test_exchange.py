"""Every format there and back, on grids of any size, spacing, origin and binning."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.coordinates import from_centred, to_centred
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.exchange import FORMATS, Format, check_grids, find_format
from cryo_pick.formats.grid import Grid, read_unbinned
from cryo_pick.formats.records import Records, RunPicks
from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks

NAMES = ("TS_1", "TS 2", "b-3.x")
length = st.floats(0.5, 50)
sizes = st.tuples(*[st.integers(1, 2000)] * 3)
place = st.floats(-20_000, 20_000)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    spacing, unbinned = draw(length), draw(st.booleans())
    origins = st.tuples(*[st.floats(-500, 500)] * 3)
    return Grid(
        draw(sizes),
        (spacing,) * 3,
        draw(origins),
        draw(origins),
        draw(sizes) if unbinned else None,
        draw(length) if unbinned else None,
    )


@st.composite
def runs(draw: st.DrawFn) -> RunPicks:
    n = draw(st.integers(1, 4))
    rows = draw(st.lists(st.tuples(place, place, place), min_size=n, max_size=n))
    kinds = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    scores = draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    notes = [f"n {i}" for i in range(n)]
    return RunPicks(Picks(np.array(rows), np.array(kinds), np.array(scores)), {"stage_1": notes})


def output(folder: Path, format_: Format) -> Path:
    suffixes = {"csv": ".csv", "kaggle": ".csv", "dynamo": ".tbl", "star": ".star"}
    suffixes |= {"relion4": ".star", "warp": ".star"}
    return folder / f"{format_.name}{suffixes.get(format_.name, '')}"


@pytest.mark.parametrize("format_", FORMATS, ids=lambda f: f.name)
@settings(max_examples=15)
@given(st.lists(st.tuples(runs(), grids()), min_size=1, max_size=2))
def test_there_and_back(
    tmp_path_factory: pytest.TempPathFactory,
    format_: Format,
    made: list[tuple[RunPicks, Grid]],
) -> None:
    """Within 0.001 Å, with every score and, where the format can, every further column."""
    if format_.name == "warp":
        made = made[:1]
    folder = tmp_path_factory.mktemp("f")
    known = {name: grid for name, (_, grid) in zip(NAMES, made, strict=False)}
    records = Records(CZII_TYPES.names, {n: r for n, (r, _) in zip(NAMES, made, strict=False)})
    path = output(folder, format_)
    format_.load().write(path, records, CZII_TYPES, known)
    back = format_.load().read(path, CZII_TYPES, known.get, None)
    assert set(back.runs) == set(records.runs)
    for run, found in records.runs.items():
        order = np.argsort(found.picks.classes, kind="stable")
        again = back.runs[run]
        if format_.name == "chimerax":
            found = found.keep(np.ones(len(order), bool))
            found = RunPicks(
                found.picks[order], {k: [v[i] for i in order] for k, v in found.extra.items()}
            )
        np.testing.assert_allclose(again.picks.positions, found.picks.positions, atol=1e-3)
        np.testing.assert_array_equal(again.picks.classes, found.picks.classes)
        if format_.name != "kaggle":
            np.testing.assert_allclose(again.picks.scores, found.picks.scores, atol=1e-6)
        if format_.extra:
            assert again.extra == found.extra


@given(st.tuples(place, place, place), sizes, length, st.tuples(*[place] * 3), st.booleans())
def test_centred_and_back(
    position: tuple[float, ...],
    shape: tuple[int, int, int],
    pixel: float,
    origin: tuple[float, float, float],
    whole: bool,
) -> None:
    centred = to_centred(position, shape, (pixel,) * 3, origin, whole)
    back = from_centred(centred, shape, (pixel,) * 3, origin, whole)
    np.testing.assert_allclose(back, position, atol=1e-6)


class TestTheMiddle:
    """The one formula, on scenes that can be counted by hand."""

    def test_an_even_size_has_its_middle_on_a_voxel(self) -> None:
        assert to_centred([40, 20, 10], (8, 4, 2), (10, 10, 10)).tolist() == [0, 0, 0]

    def test_an_odd_size_has_it_between_two(self) -> None:
        assert to_centred([20, 20, 20], (5, 5, 5), (10, 10, 10)).tolist() == [-5, -5, -5]
        assert to_centred([20, 20, 20], (5, 5, 5), (10, 10, 10), whole=True).tolist() == [0, 0, 0]

    def test_binning_does_not_move_a_particle(self) -> None:
        """Voxel 3 of a tomogram binned by 4 is unbinned voxel 12; of 41 voxels that is -8.5."""
        binned = Grid((10,) * 3, (8.0,) * 3, unbinned_shape=(41,) * 3, unbinned_pixel=2.0)
        relion5 = find_format("relion5")
        assert relion5 is not None
        numbers = relion5.load().numbers([[24.0, 24.0, 24.0]], binned, "r")  # type: ignore[attr-defined]
        assert numbers.tolist() == [[-17.0, -17.0, -17.0]]
        assert binned.residual == (-1.0, -1.0, -1.0)

    def test_the_origin_is_taken_off_first(self) -> None:
        found = to_centred([35, 35, 35], (8, 8, 8), (10, 10, 10), (-5, -5, -5))
        assert found.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "grid", "message"),
    [
        ("relion5", Grid(), r"'r': this format needs the voxel spacing; give --tomograms"),
        ("relion5", Grid(voxel_spacing=(1.0, 1.0, 1.0)), "needs the tomogram's size; give"),
        ("imod", Grid((1, 2, 3)), "needs the voxel spacing"),
    ],
)
def test_what_is_not_known_is_not_guessed(name: str, grid: Grid, message: str) -> None:
    format_ = find_format(name)
    assert format_ is not None
    with pytest.raises(InputError, match=message):
        check_grids(format_, {"r": grid})


def test_a_wrong_format_shows_the_closest() -> None:
    with pytest.raises(ConfigError, match="no format 'relion'; closest: relion5, relion4"):
        find_format("relion", ("mrc",))
    assert find_format("mrc", ("mrc",)) is None


def write(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


GRID = Grid((8, 8, 8), (10.0,) * 3)
ROW = " ".join(["0"] * 19 + ["1", "0", "1", "0", "1", "2", "3"])


@pytest.mark.parametrize(
    ("format_", "file", "text", "message"),
    [
        ("napari", "a.csv", "x,y,z\n", "expected napari's axis-0, axis-1, axis-2"),
        ("napari", "a.csv", "axis-0,axis-1,axis-2\n1,2,q\n", "`axis-2` must be a finite"),
        ("napari", "a.csv", "axis-0,axis-1,axis-2\n1,2,3\n", "no particle type ''"),
        ("imod", "a.txt", "1 1 2 3\n", "line 1: a.txt: expected 3, 5 or 6 numbers, but got 4"),
        ("imod", "a.txt", "9 1 2 3 4\n", "a class from 1 to 6, but got '9'"),
        ("imod", "a.txt", "1 2 3\n", "no object number that says the class; give --class NAME"),
        ("eman", "a_info.json", "{}", "expected EMAN2's info JSON with `boxes_3d`"),
        ("eman", "a_info.json", '{"boxes_3d": []}', "`apix_unbin` must be a finite number"),
        (
            "eman", "a_info.json",
            json.dumps({"boxes_3d": [[1, 2, 3, "m", 0, 7]], "apix_unbin": 1, "class_list": {}}),
            "box 0: class 7 is not in `class_list`",
        ),
        ("chimerax", "a.cmm", "<a", "no XML, or a damaged one"),
        ("chimerax", "a.cmm", "<a/>", "expected ChimeraX markers, but the XML is a <a>"),
        ("chimerax", "a.cmm", "<!DOCTYPE x []><marker_sets/>", "declares entities"),
        (
            "chimerax", "a.cmm", '<marker_set name="ribosome"><marker x="1" y="2"/></marker_set>',
            "marker 0: field `z` must be a finite number",
        ),
        ("dynamo", "a.tbl", "1 2 3\n", "a.doc: not there; it says which tomogram"),
        ("relion5", "a.star", "hello", "no STAR file, or a damaged one"),
        ("relion4", "a.star", "data_\nloop_\n_rlnA #1\n1\n", "a block with rlnCoordinateX"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(
    tmp_path: Path, format_: str, file: str, text: str, message: str
) -> None:
    found = find_format(format_)
    assert found is not None
    with pytest.raises(InputError, match=message):
        found.load().read(write(tmp_path, file, text), CZII_TYPES, lambda run: GRID, None)


@pytest.mark.parametrize(
    ("row", "doc", "message"),
    [
        (ROW, "2 other\n", "line 1: tomogram 1 is not in the .doc file"),
        ("1 2 3", "1 run\n", "expected 26 columns or more, got 3"),
        (ROW, "run 1\n", "expected a number and a volume"),
    ],
)
def test_dynamo_tables_and_their_index(tmp_path: Path, row: str, doc: str, message: str) -> None:
    write(tmp_path, "a.doc", doc)
    found = find_format("dynamo")
    assert found is not None
    with pytest.raises(InputError, match=message):
        found.load().read(write(tmp_path, "a.tbl", row), CZII_TYPES, lambda run: GRID, None)


def test_dynamo_shifts_are_applied(tmp_path: Path) -> None:
    words = ROW.split()
    words[3:6] = ["0.5", "-1", "0"]
    write(tmp_path, "a.doc", "1 /data/TS_1.rec\n")
    found = find_format("dynamo")
    assert found is not None
    back = found.load().read(
        write(tmp_path, "a.tbl", " ".join(words)), CZII_TYPES, lambda run: GRID, None
    )
    assert back.runs["TS_1"].picks.positions.tolist() == [[30, 10, 15]]


def test_relion_shifts_are_taken_off(tmp_path: Path) -> None:
    columns = ["TomoName", "CoordinateX", "CoordinateY", "CoordinateZ", "OriginXAngst"]
    head = "".join(f"_rln{c} #{i}\n" for i, c in enumerate(columns, 1))
    path = write(tmp_path, "a.star", f"data_particles\nloop_\n{head}TS_1 1 2 3 4\n")
    found = find_format("relion4")
    assert found is not None
    back = found.load().read(path, None, lambda run: GRID, "ribosome")
    assert back.runs["TS_1"].picks.positions.tolist() == [[30, 20, 6]]
    assert back.names == ("ribosome",)


def test_unbinned_sizes_are_read(tmp_path: Path) -> None:
    labels = ("TomoName", "TomoSizeX", "TomoSizeY", "TomoSizeZ", "TomoTiltSeriesPixelSize")
    head = "data_global\nloop_\n" + "".join(f"_rln{c}\n" for c in labels)
    path = write(tmp_path, "t.star", f"{head}TS_1 4096 4000 1201 1.54\n")
    assert read_unbinned(path) == {"TS_1": ((1201, 4000, 4096), 1.54)}
    for row, message in (
        ("a 1 2 3.5 1", "expected a tomogram size of whole voxels"),
        ("a 1 2 3 0", "must be above 0 Å, but is 0"),
        ("a 1 2 x 1", "`rlnTomoSizeZ` must be a finite number"),
    ):
        with pytest.raises(InputError, match=rf"t\.star: line 8: .*{message}"):
            read_unbinned(write(tmp_path, "t.star", f"{head}{row}\n"))
    with pytest.raises(InputError, match=r"expected RELION's tomograms\.star"):
        read_unbinned(write(tmp_path, "t.star", "data_\nloop_\n_rlnA\n1\n"))

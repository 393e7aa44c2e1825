"""Picks in STAR files, against the starfile package."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import starfile
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.star import read_star, write_star
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks


def particles(**columns: Any) -> dict[str, Any]:
    """One particle at voxel x 1, y 2, z 3 of 10 Å."""
    plain: dict[str, Any] = {
        "rlnTomoName": ["TS_1"],
        "rlnCoordinateX": [1.0],
        "rlnCoordinateY": [2.0],
        "rlnCoordinateZ": [3.0],
        "rlnTomoTiltSeriesPixelSize": [10.0],
        "rlnObjectName": ["ribosome"],
    }
    return {k: v for k, v in (plain | columns).items() if v is not None}


CENTERED = {
    "rlnCoordinateX": None,
    "rlnCoordinateY": None,
    "rlnCoordinateZ": None,
    "rlnCenteredCoordinateXAngst": [-90.0],
    "rlnCenteredCoordinateYAngst": [0.0],
    "rlnCenteredCoordinateZAngst": [5.0],
}
SIZES: dict[str, Any] = {"rlnTomoSizeX": [20], "rlnTomoSizeY": [30], "rlnTomoSizeZ": [11]}


def written(tmp_path: Path, **blocks: dict[str, Any]) -> Path:
    """What starfile writes."""
    starfile.write({n: pd.DataFrame(b) for n, b in blocks.items()}, tmp_path / "p.star")
    return tmp_path / "p.star"


def test_what_starfile_writes_is_read(tmp_path: Path, types: ParticleTypes) -> None:
    table = particles(rlnAutopickFigureOfMerit=[0.25], rlnAngleRot=[12.0], rlnOther=["x y"])
    picks = read_star(written(tmp_path, particles=table), types)
    assert list(picks) == ["TS_1"]
    assert picks["TS_1"].positions.tolist() == [[30, 20, 10]]
    assert picks["TS_1"].classes.tolist() == [1]
    assert picks["TS_1"].scores.tolist() == [0.25]


def test_starfile_reads_what_is_written(tmp_path: Path, types: ParticleTypes) -> None:
    picks = {
        "TS_1": Picks([[30.036, 20.024, 10.012]], [1], [0.125]),  # type: ignore[arg-type]
        "TS 2": Picks([[0, 0, 0]], [2], [1]),  # type: ignore[arg-type]
        "TS_3": Picks.empty(),
    }
    write_star(tmp_path / "p.star", picks, types, 10.012)
    table = starfile.read(tmp_path / "p.star", always_dict=True)["particles"]
    assert table["rlnTomoName"].tolist() == ["TS_1", "TS 2"]
    assert table["rlnCoordinateX"].tolist() == [1, 0]
    assert table["rlnCoordinateY"].tolist() == [2, 0]
    assert table["rlnCoordinateZ"].tolist() == [3, 0]
    assert table["rlnTomoTiltSeriesPixelSize"].tolist() == [10.012, 10.012]
    assert table["rlnObjectName"].tolist() == ["ribosome", "thyroglobulin"]
    assert table["rlnAutopickFigureOfMerit"].tolist() == [0.125, 1]
    assert "0 is the centre of the" in (tmp_path / "p.star").read_text()


def test_the_first_voxel_is_0_whatever_the_origin(tmp_path: Path, types: ParticleTypes) -> None:
    """A lone particle in the centre of voxel (1, 2, 3) has that index, and keeps its place."""
    origin = (-5.0, -6.0, -7.0)
    position = np.array([origin]) + 10 * np.array([[1.0, 2.0, 3.0]])
    picks = {"TS_1": Picks(position, np.array([0]))}
    for given_origin in (origin, {"TS_1": origin}):
        write_star(tmp_path / "p.star", picks, types, {"TS_1": 10.0}, given_origin)
        table = starfile.read(tmp_path / "p.star")
        assert table[[f"rlnCoordinate{a}" for a in "ZYX"]].to_numpy().tolist() == [[1, 2, 3]]
        back = read_star(tmp_path / "p.star", types)
        np.testing.assert_allclose(back["TS_1"].positions, position, atol=1e-9)


def test_no_picks_are_legal(tmp_path: Path, types: ParticleTypes) -> None:
    write_star(tmp_path / "p.star", {"TS_1": Picks.empty()}, types, 10.0)
    assert read_star(tmp_path / "p.star", types) == {}


class TestColumns:
    """Where runs, pixel sizes and classes are found."""

    def test_warp_names_runs_by_file(self, tmp_path: Path, types: ParticleTypes) -> None:
        table = particles(rlnTomoName=None, rlnMicrographName=["path/TS_1.tomostar"])
        assert list(read_star(written(tmp_path, particles=table), types)) == ["TS_1"]

    def test_the_pixel_size_may_stand_with_the_optics_group(
        self, tmp_path: Path, types: ParticleTypes
    ) -> None:
        optics = {"rlnOpticsGroup": [1, 2], "rlnTomoTiltSeriesPixelSize": [5.0, 7.0]}
        table = particles(rlnTomoTiltSeriesPixelSize=None, rlnOpticsGroup=[2])
        path = written(tmp_path, optics=optics, particles=table)
        assert read_star(path, types)["TS_1"].positions.tolist() == [[21, 14, 7]]

    def test_a_single_class_needs_no_column(self, tmp_path: Path, types: ParticleTypes) -> None:
        path = written(tmp_path, particles=particles(rlnObjectName=None))
        assert read_star(path, ParticleTypes((types[2],)))["TS_1"].classes.tolist() == [0]
        with pytest.raises(InputError, match=r"no column rlnObjectName .*there are 3 classes"):
            read_star(path, types)

    def test_centred_coordinates_with_sizes_beside_them(
        self, tmp_path: Path, types: ParticleTypes
    ) -> None:
        """RELION 5: Å from half the unbinned size, so x -90 of 20 voxels of 10 Å is 10 Å."""
        path = written(tmp_path, particles=particles(**CENTERED, **SIZES))
        assert read_star(path, types)["TS_1"].positions.tolist() == [[60, 150, 10]]

    def test_centred_coordinates_with_sizes_by_tomogram(
        self, tmp_path: Path, types: ParticleTypes
    ) -> None:
        table = particles(**CENTERED, rlnTomoTiltSeriesPixelSize=None)
        tomograms = {
            "rlnTomoName": ["TS_0", "TS_1"],
            "rlnTomoTiltSeriesPixelSize": [3.0, 10.0],
            **{name: [1, *size] for name, size in SIZES.items()},
        }
        path = written(tmp_path, **{"global": tomograms, "particles": table})
        assert read_star(path, types)["TS_1"].positions.tolist() == [[60, 150, 10]]

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (CENTERED, "line .*: no column rlnTomoSizeX for this particle"),
            (
                {"rlnTomoTiltSeriesPixelSize": None},
                "no column rlnTomoTiltSeriesPixelSize or rlnPix",
            ),
            ({"rlnTomoTiltSeriesPixelSize": [0.0]}, "a pixel size above 0 Å, but got 0"),
            ({"rlnTomoName": None}, "no column rlnTomoName or rlnMicrographName"),
            ({"rlnCoordinateX": None}, "expected a block with rlnCoordinateX, rlnCoordinateY"),
            (
                {"rlnCoordinateX": ["x"]},
                "field `rlnCoordinateX` must be a finite number, but is 'x'",
            ),
            ({"rlnAutopickFigureOfMerit": ["nan"]}, "`rlnAutopickFigureOfMerit` must be a finite"),
            ({"rlnObjectName": ["ribosom"]}, "no particle type 'ribosom'; closest: ribosome"),
        ],
    )
    def test_what_is_missing_is_named(
        self, tmp_path: Path, types: ParticleTypes, columns: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=rf"p\.star: .*{message}"):
            read_star(written(tmp_path, particles=particles(**columns)), types)


def test_what_is_no_star(tmp_path: Path, types: ParticleTypes) -> None:
    (tmp_path / "p.star").write_text("hello\n")
    with pytest.raises(InputError, match=r"p\.star: no STAR file, or a damaged one: line 1"):
        read_star(tmp_path / "p.star", types)
    with pytest.raises(InputError, match="can't be read"):
        read_star(tmp_path / "none.star", types)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"voxel_spacing": 0}, "spacing of TS_1 to be above 0 Å, but got 0"),
        ({"voxel_spacing": float("nan")}, "spacing of TS_1 to be above 0 Å"),
        ({"classes": 3}, "classes below 3, but got 3"),
        ({"run": "a\nb"}, "text that STAR can hold"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, types: ParticleTypes, arguments: dict[str, Any], message: str
) -> None:
    picks = Picks(np.zeros((1, 3)), np.array([arguments.get("classes", 0)]))
    run = arguments.get("run", "TS_1")
    with pytest.raises(ValueError, match=message):
        write_star(tmp_path / "p.star", {run: picks}, types, arguments.get("voxel_spacing", 10))
    assert list(tmp_path.iterdir()) == []


coordinate = st.floats(-1e5, 1e5)


@given(
    st.lists(
        st.tuples(coordinate, coordinate, coordinate, st.floats(0, 1)), min_size=1, max_size=5
    ),
    st.floats(0.5, 50),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20), st.floats(-20, 20)),
)
def test_written_and_read_back(
    tmp_path: Path,
    types: ParticleTypes,
    rows: list[tuple[float, ...]],
    spacing: float,
    origin: tuple[float, float, float],
) -> None:
    table = np.array(rows)
    picks = Picks(table[:, :3], np.arange(len(table)) % 3, table[:, 3])
    write_star(tmp_path / "p.star", {"A b": picks}, types, spacing, origin)
    back = read_star(tmp_path / "p.star", types)["A b"]
    np.testing.assert_allclose(back.positions, picks.positions, atol=1e-3)
    np.testing.assert_allclose(back.scores, picks.scores, atol=1e-6)
    np.testing.assert_array_equal(back.classes, picks.classes)


HEAD = b"data_particles\nloop_\n" + b"\n".join(f"_{name}".encode() for name in particles()) + b"\n"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.booleans())
def test_arbitrary_bytes_are_read_or_refused(
    tmp_path: Path, types: ParticleTypes, content: bytes, with_head: bool
) -> None:
    (tmp_path / "p.star").write_bytes(HEAD * with_head + content)
    message = "p.star"
    try:
        picks = read_star(tmp_path / "p.star", types)
    except InputError as error:
        message = str(error)
    else:
        assert all(len(p) for p in picks.values())
    assert "p.star" in message

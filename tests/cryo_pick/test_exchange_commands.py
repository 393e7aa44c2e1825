"""`cryo-pick import` and `export` as they are typed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.formats.copick import OWN_USER, create_project, open_project
from cryo_pick.formats.mrc import open_mrc, write_mrc
from cryo_pick.formats.picks_csv import read_csv_records
from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks
from cryo_pick.settings import DataSettings
from tests.reference.format_scene import Scene, make_scene

CSV = """id,experiment,particle_type,x,y,z,score,stage_1
0,TS_1,ribosome,100.5,200.25,300.125,0.9,0.7
1,TS_20,apo-ferritin,10,20,30,0.5,0.1
2,TS_1,apo-ferritin,11,21,31,0.25,0.2
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def picks(tmp_path: Path) -> Path:
    (tmp_path / "p.csv").write_text(CSV)
    return tmp_path / "p.csv"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_dry_run_shows_names_and_geometry_and_writes_nothing(
    scene: Scene, picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", picks, "--to", "relion5", "--out", tmp_path / "r", "--dry-run"]
    words += ["--tomograms", scene.folder / "project", "--unbinned", scene.folder / "t.star"]
    assert main(list(map(str, words))) == 0
    shown = capsys.readouterr().out
    assert "41 63 64" in shown
    assert "165 253 257 at 2.503" in shown
    assert "-1.25 -1.25 -1.25" in shown, "half of the unbinned voxel that binning by 4 leaves over"
    assert "each --rename PATTERN=TEXT in turn" in shown
    assert not (tmp_path / "r").exists()


def test_nothing_that_matches_shows_the_closest_names(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.csv").write_text(CSV.replace("TS_", "ST_"))
    words = ["export", tmp_path / "p.csv", "--to", "napari", "--out", tmp_path / "n"]
    assert main([*map(str, words), "--tomograms", str(scene.folder / "project")]) == 3
    message = capsys.readouterr().err
    assert "none of its 2 runs is among the tomograms; ST_1: closest: TS_1" in message


def test_names_are_mapped_by_rule_both_ways(
    scene: Scene, picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = str(scene.folder / "project")
    out = str(tmp_path / "w.star")
    words = ["export", str(picks), "--to", "warp", "--out", out, "--tomograms", project]
    assert main([*words, "--rename", "^TS=rec_TS", "-q"]) == 0
    assert "rec_TS_20.tomostar" in Path(out).read_text()
    back = tmp_path / "back.csv"
    words = ["import", out, "--from", "warp", "--out", str(back), "--tomograms", project, "-q"]
    assert main(words) == 0
    assert [r["experiment"] for r in rows(back)] == ["TS_1", "TS_1", "TS_20"]
    assert [r["stage_1"] for r in rows(back)] == ["0.7", "0.2", "0.1"]
    assert float(rows(back)[0]["x"]) == pytest.approx(100.5, abs=1e-3)
    capsys.readouterr()
    assert main([*words[:6], "--tomograms", project, "--rename", "TS=XY"]) == 3
    assert "0 of 2 names match the 2 known runs" in capsys.readouterr().err


def test_without_a_spacing_it_says_what_to_give(
    picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(picks), "--to", "imod", "--out", str(tmp_path / "i")]
    assert main([*words, "--voxel-spacing", "10"]) == 2
    assert "IMOD point text needs the classes' radii or order" in capsys.readouterr().err
    words += ["--objects", "czii"]
    assert main(words) == 3
    assert "run 'TS_1': this format needs the voxel spacing; give --tomograms" in (
        capsys.readouterr().err
    )
    assert main([*words, "--voxel-spacing", "10"]) == 0
    assert (tmp_path / "i/TS_20.txt").read_text() == "1 1 1.500000 2.500000 3.000000 0.500000\n"


def test_the_origin_of_the_challenge_reaches_the_voxels(picks: Path, tmp_path: Path) -> None:
    words = ["export", str(picks), "--to", "napari", "--out", str(tmp_path / "n"), "-q"]
    assert main([*words, "--voxel-spacing", "10", "data.origin_voxels=-0.5"]) == 0
    assert rows(tmp_path / "n/TS_20.csv")[0]["axis-0"] == "3.500000"


def test_only_some_classes(picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.csv"
    words = ["export", str(picks), "--to", "csv", "--out", str(out), "--class"]
    assert main([*words, "ribosome"]) == 0
    assert {r["particle_type"] for r in rows(out)} == {"ribosome"}
    assert main([*words, "ribosom"]) == 2
    assert "no such class in the picks: --class ribosom: closest: ribosome" in (
        capsys.readouterr().err
    )


def test_without_unbinned_sizes_relion_is_warned_of(
    scene: Scene, picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(picks), "--to", "relion5", "--out", str(tmp_path / "r")]
    assert main([*words, "--tomograms", str(scene.folder / "project")]) == 0
    found = capsys.readouterr()
    assert "no --unbinned says it for TS_1, TS_20" in " ".join(found.err.split())
    assert f"Import coordinates from {tmp_path / 'r'}/coordinates.star" in found.out


def test_columns_without_a_place_are_named(
    picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(picks), "--to", "dynamo", "--out", str(tmp_path / "d.tbl")]
    words += ["--objects", "czii"]
    assert main([*words, "--voxel-spacing", "10"]) == 0
    assert "dynamo has no place for the columns stage_1" in capsys.readouterr().err


class TestCopick:
    """Picks into projects, and out of them."""

    def test_picks_get_user_session_and_score(self, picks: Path, tmp_path: Path) -> None:
        project = create_project(tmp_path / "p", "p", CZII_TYPES)
        words = ["export", str(picks), "--to", "copick", "--out", str(tmp_path / "p"), "-q"]
        assert main([*words, "--user", "me", "--session", "7"]) == 0
        file = tmp_path / "p/overlay/ExperimentRuns/TS_1/Picks/me_7_ribosome.json"
        content = json.loads(file.read_text())
        assert (content["user_id"], content["session_id"]) == ("me", "7")
        assert [p["score"] for p in content["points"]] == [0.9]
        assert content["points"][0]["location"] == {"x": 100.5, "y": 200.25, "z": 300.125}
        assert len(project.read_picks("TS_1", "me", "7")) == 2

    def test_a_new_project_needs_its_objects(
        self, picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["import", str(picks), "--from", "csv", "--out", str(tmp_path / "new"), "-q"]
        assert main(words) == 2
        assert "a new project needs its classes: --objects czii" in capsys.readouterr().err
        assert main([*words, "--objects", "czii"]) == 0
        project = open_project(tmp_path / "new")
        assert project.types == CZII_TYPES
        assert len(project.read_picks("TS_1", "csv")) == 2

    def test_own_picks_go_out_first(self, scene: Scene, tmp_path: Path) -> None:
        project = create_project(tmp_path / "p", "p", CZII_TYPES)
        (tmp_path / "p/static/ExperimentRuns/TS_1").mkdir()
        one = Picks(np.array([[1.0, 2, 3]]), np.array([3]), np.array([0.5]))
        two = Picks(np.array([[4.0, 5, 6], [7, 8, 9]]), np.array([3, 3]))
        project.write_picks("TS_1", one, OWN_USER, "0")
        project.write_picks("TS_1", two, "curation", "0")
        out = tmp_path / "o.csv"
        words = ["export", str(tmp_path / "p"), "--to", "csv", "--out", str(out), "-q"]
        assert main(words) == 0
        assert [r["z"] for r in rows(out)] == ["1.0000"]
        assert main([*words, "--user", "curation"]) == 0
        assert [r["z"] for r in rows(out)] == ["4.0000", "7.0000"]

    def test_a_project_is_imported_into_a_file(self, scene: Scene, tmp_path: Path) -> None:
        out = tmp_path / "o.csv"
        words = ["import", str(scene.folder / "project"), "--from", "copick", "--out", str(out)]
        assert main([*words, "-q"]) == 0
        assert len(rows(out)) == sum(len(p) for p in scene.picks.values())

    def test_thresholds_leave_all_else_in_the_config(self, tmp_path: Path) -> None:
        project = create_project(tmp_path / "p", "p", CZII_TYPES)
        path = tmp_path / "p/copick_config.json"
        before = json.loads(path.read_text()) | {"my_field": [1, "ö"]}
        path.write_text(json.dumps(before))
        project.write_thresholds({"ribosome": 0.25, "apo-ferritin": None})
        after = json.loads(path.read_text())
        objects = {o["name"]: o["metadata"] for o in after["pickable_objects"]}
        assert objects["ribosome"] == {"score_weight": 1.0, "score_threshold": 0.25}
        assert objects["apo-ferritin"]["score_threshold"] is None
        for item in after["pickable_objects"]:
            item["metadata"].pop("score_threshold", None)
        assert after == before


class TestVolumes:
    """Tomograms in and out."""

    def test_mrc_to_project_to_mrc(self, tmp_path: Path) -> None:
        volume = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
        write_mrc(tmp_path / "in/a.mrc", volume, 7.5, (1.0, 2.0, 3.0))
        project = str(tmp_path / "p")
        words = ["import", str(tmp_path / "in"), "--from", "mrc", "--out", project, "-q"]
        assert main([*words, "--objects", "czii", "--tomo-type", "wbp"]) == 0
        tomogram = open_project(project).open_tomogram("a", DataSettings())
        assert (tomogram.tomo_type, tomogram.origin) == ("wbp", (1.0, 2.0, 3.0))
        np.testing.assert_array_equal(tomogram.volume[:], volume)
        out = tmp_path / "b.mrc"
        assert main(["export", project, "--to", "mrc", "--out", str(out), "-q"]) == 0
        back = open_mrc(out)
        assert (back.voxel_spacing, back.origin) == ((7.5,) * 3, (1.0, 2.0, 3.0))
        assert back.volume.dtype == np.int16
        np.testing.assert_array_equal(back.volume, volume)

    def test_an_import_needs_the_name_of_the_type(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_mrc(tmp_path / "a.mrc", np.zeros((4, 4, 4), np.float32), 7.5)
        words = ["import", str(tmp_path / "a.mrc"), "--from", "mrc", "--out", str(tmp_path / "p")]
        assert main(words) == 2
        assert "--tomo-type: give the name" in capsys.readouterr().err

    def test_several_volumes_need_a_folder(
        self, scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project = str(scene.folder / "project")
        out = str(tmp_path / "a.mrc")
        assert main(["export", project, "--to", "mrc", "--out", out]) == 2
        assert "there are 2 volumes; give a folder" in capsys.readouterr().err
        assert main(["export", project, "--to", "mrc", "--out", str(tmp_path), "--dry-run"]) == 0
        assert "TS_20.mrc" in capsys.readouterr().out
        assert not list(tmp_path.iterdir())


def test_a_predicted_folder_knows_its_own_grids(scene: Scene, tmp_path: Path) -> None:
    from cryo_pick.candidates import Candidates
    from cryo_pick.formats.candidates_npz import write_candidates
    from cryo_pick.pipeline.geometry import find_geometry

    found = Candidates.empty(6)
    about = {"shape": [4, 5, 6], "voxel_spacing": [7.0, 7.0, 7.0], "origin": [1.0, 1.0, 1.0]}
    write_candidates(tmp_path / "runs/TS_1/candidates.npz", found, CZII_TYPES.names, about)
    grid = find_geometry([tmp_path], DataSettings()).grids["TS_1"]
    assert (grid.shape, grid.voxel_spacing, grid.origin) == ((4, 5, 6), (7.0,) * 3, (1.0,) * 3)


def test_further_columns_of_a_csv_are_kept(picks: Path) -> None:
    records = read_csv_records(picks, None)
    assert records.names == ("ribosome", "apo-ferritin")
    assert records.runs["TS_1"].extra == {"stage_1": ["0.7", "0.2"]}
    assert records.runs["TS_1"].picks.scores.tolist() == [0.9, 0.25]

"""A copick project, written with plain json and zarr, and one that the program writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import OWN_USER, create_project, open_project
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.settings import DataSettings

PICKS = "overlay/ExperimentRuns/TS_1/Picks"
TOMOGRAM = "static/ExperimentRuns/TS_1/VoxelSpacing10.012/denoised.zarr"


@pytest.mark.parametrize("name", ["", "copick_config.json"])
def test_what_is_in_a_project(project_folder: Path, name: str) -> None:
    project = open_project(project_folder / name)
    assert project.runs == ["TS_1", "TS_2"]
    assert project.voxel_spacings("TS_1") == [10.012]
    assert project.tomo_types("TS_1", 10.012) == ["denoised"]
    assert project.tomo_types("TS_1", 10.0121) == ["denoised"]
    assert project.tomo_types("TS_1", 20) == []
    assert project.types.names == ("apo-ferritin", "ribosome", "thyroglobulin")


def test_files_that_are_no_runs_are_ignored(project_folder: Path) -> None:
    runs = project_folder / "static/ExperimentRuns"
    (runs / ".DS_Store").write_text("x")
    (runs / ".trash").mkdir()
    (runs / "TS_1/VoxelSpacingX").mkdir()
    (runs / "TS_1/VoxelSpacing0").mkdir()
    (runs / "TS_1/VoxelSpacing10.012/notes.txt").write_text("x")
    project = open_project(project_folder)
    assert project.runs == ["TS_1", "TS_2"]
    assert project.voxel_spacings("TS_1") == [10.012]


class TestTomogram:
    """Which tomogram is opened, and where its voxels lie."""

    def test_the_only_one(self, project_folder: Path, volume: np.ndarray) -> None:
        tomogram = open_project(project_folder).open_tomogram("TS_1", DataSettings())
        np.testing.assert_array_equal(tomogram.volume[:], volume)
        assert tomogram.voxel_spacing == (10.012, 10.012, 10.012)
        assert tomogram.origin == (0, 0, 0)
        assert (tomogram.run, tomogram.tomo_type) == ("TS_1", "denoised")

    def test_the_origin_of_the_settings(self, project_folder: Path) -> None:
        settings = DataSettings(origin_voxels=-0.5)
        tomogram = open_project(project_folder).open_tomogram("TS_1", settings)
        assert tomogram.origin == pytest.approx((-5.006, -5.006, -5.006))

    def test_one_of_several(self, project_folder: Path, volume: np.ndarray, make_zarr: Any) -> None:
        run = project_folder / "static/ExperimentRuns/TS_1"
        make_zarr(run / "VoxelSpacing10.012/wbp.zarr", volume)
        make_zarr(run / "VoxelSpacing5.000/wbp.zarr", volume, 5.0)
        project = open_project(project_folder)
        with pytest.raises(ConfigError) as caught:
            project.open_tomogram("TS_1", DataSettings())
        for there in (
            "denoised at 10.012 Å",
            "wbp at 10.012 Å",
            "wbp at 5.000 Å",
            "data.tomo_type",
        ):
            assert there in str(caught.value)
        with pytest.raises(ConfigError, match=r"several tomograms with data.tomo_type=wbp"):
            project.open_tomogram("TS_1", DataSettings(tomo_type="wbp"))
        fine = project.open_tomogram("TS_1", DataSettings(voxel_spacing=5))
        assert fine.voxel_spacing == (5, 5, 5)
        settings = DataSettings(tomo_type="denoised", voxel_spacing=10.0122)
        assert project.open_tomogram("TS_1", settings).tomo_type == "denoised"

    def test_the_true_spacing_is_that_of_the_metadata(
        self, project_folder: Path, volume: np.ndarray
    ) -> None:
        run = project_folder / "static/ExperimentRuns/TS_1"
        (run / "VoxelSpacing10.012").rename(run / "VoxelSpacing10.000")
        tomogram = open_project(project_folder).open_tomogram(
            "TS_1", DataSettings(voxel_spacing=10)
        )
        assert tomogram.voxel_spacing == (10.012, 10.012, 10.012)

    def test_a_spacing_far_from_its_folder(
        self, project_folder: Path, volume: np.ndarray, make_zarr: Any
    ) -> None:
        make_zarr(project_folder / TOMOGRAM, volume, 1.0)
        with pytest.raises(InputError, match=r"'TS_1'.*metadata gives .*1\.0.* says 10\.012 Å"):
            open_project(project_folder).open_tomogram("TS_1", DataSettings())

    def test_none_that_fits(self, project_folder: Path) -> None:
        project = open_project(project_folder)
        message = (
            r"run 'TS_1' has no tomogram with data.tomo_type=wbp .*it has denoised at 10.012 Å"
        )
        with pytest.raises(InputError, match=message):
            project.open_tomogram("TS_1", DataSettings(tomo_type="wbp"))
        with pytest.raises(InputError, match=r"data.voxel_spacing=7; it has denoised"):
            project.open_tomogram("TS_1", DataSettings(voxel_spacing=7))
        shutil.rmtree(project_folder / TOMOGRAM)
        with pytest.raises(InputError, match="it has none"):
            project.open_tomogram("TS_1", DataSettings())

    def test_a_run_that_is_not_there(self, project_folder: Path) -> None:
        with pytest.raises(InputError, match="no run 'TS_9'; closest: TS_2, TS_1"):
            open_project(project_folder).open_tomogram("TS_9", DataSettings())
        with pytest.raises(InputError, match="can't be used as a name"):
            open_project(project_folder).open_tomogram("../TS_1", DataSettings())


class TestRuns:
    """Which runs are used."""

    def test_those_with_the_tomogram(
        self, project_folder: Path, volume: np.ndarray, make_zarr: Any, caplog: Any
    ) -> None:
        run = project_folder / "static/ExperimentRuns/TS_2/VoxelSpacing10.012"
        make_zarr(run / "wbp.zarr", volume)
        (project_folder / "overlay/ExperimentRuns/TS_0/Picks").mkdir(parents=True)
        project = open_project(project_folder)
        assert project.select_runs(DataSettings()) == ["TS_1", "TS_2"]
        assert "left out, no such tomogram: TS_0" in caplog.text
        assert project.select_runs(DataSettings(tomo_type="wbp")) == ["TS_2"]
        assert project.select_runs(DataSettings(exclude_runs=["TS_1"])) == ["TS_2"]
        assert project.select_runs(DataSettings(runs=["TS_1"])) == ["TS_1"]

    def test_none_left(self, project_folder: Path) -> None:
        project = open_project(project_folder)
        with pytest.raises(
            InputError, match=r"no run with the tomogram .*found denoised at 10.012 Å"
        ):
            project.select_runs(DataSettings(tomo_type="wbp"))
        with pytest.raises(InputError, match="found no tomogram"):
            project.select_runs(DataSettings(runs=[]))


class TestPicks:
    """Picks of one run."""

    def test_every_object_is_read(self, project_folder: Path) -> None:
        picks = open_project(project_folder).read_picks("TS_1")
        assert picks.classes.tolist() == [0, 0, 1]
        assert picks.positions.tolist() == [[3, 2, 1], [6, 5, 4], [30, 20, 10]]
        assert picks.scores.tolist() == [1, 1, 1]

    def test_a_run_without_picks_has_none(self, project_folder: Path) -> None:
        assert len(open_project(project_folder).read_picks("TS_2")) == 0

    def test_a_run_that_is_not_there(self, project_folder: Path) -> None:
        with pytest.raises(InputError, match="no run 'TS_9'"):
            open_project(project_folder).read_picks("TS_9")

    def test_users_and_sessions_are_chosen(
        self, project_folder: Path, make_picks: Any, caplog: Any
    ) -> None:
        for user, session in (("bob", "0"), ("curation", "1"), (OWN_USER, "0")):
            path = project_folder / PICKS / f"{user}_{session}_ribosome.json"
            path.write_text(json.dumps(make_picks("ribosome", [[7, 8, 9]], user)))
        project = open_project(project_folder)
        assert len(project.read_picks("TS_1")) == 5
        assert "picks of ribosome are joined from bob_0, curation_0, curation_1" in caplog.text
        assert len(project.read_picks("TS_1", user_id="bob")) == 1
        assert len(project.read_picks("TS_1", user_id=OWN_USER)) == 1
        assert len(project.read_picks("TS_1", user_id="curation")) == 4
        assert len(project.read_picks("TS_1", "curation", "1")) == 1
        assert len(project.read_picks("TS_1", session_id="0")) == 4
        assert len(project.read_picks("TS_1", user_id="nobody")) == 0

    def test_the_file_names_of_the_challenge(self, project_folder: Path) -> None:
        folder = project_folder / PICKS
        (folder / "curation_0_ribosome.json").rename(folder / "ribosome.json")
        project = open_project(project_folder)
        assert len(project.read_picks("TS_1")) == 3
        assert len(project.read_picks("TS_1", user_id="curation", session_id="0")) == 3
        assert len(project.read_picks("TS_1", user_id="bob")) == 0

    def test_an_overlay_file_covers_a_static_one(
        self, project_folder: Path, make_picks: Any
    ) -> None:
        static = project_folder / PICKS.replace("overlay", "static")
        static.mkdir()
        for name in ("ribosome", "thyroglobulin"):
            text = json.dumps(make_picks(name, [[7, 8, 9]] * 2))
            (static / f"curation_0_{name}.json").write_text(text)
        assert open_project(project_folder).read_picks("TS_1").classes.tolist() == [0, 0, 1, 2, 2]

    def test_equal_roots_list_a_file_once(self, project_folder: Path, rewrite: Any) -> None:
        rewrite(static_root="overlay", overlay_root="overlay")
        assert len(open_project(project_folder).read_picks("TS_1")) == 3

    def test_objects_that_are_no_particles_are_left_out(
        self, project_folder: Path, make_picks: Any
    ) -> None:
        path = project_folder / PICKS / "curation_0_membrane.json"
        path.write_text(json.dumps(make_picks("membrane", [[1, 1, 1]])))
        assert len(open_project(project_folder).read_picks("TS_1")) == 3

    def test_an_unknown_object(self, project_folder: Path, make_picks: Any) -> None:
        path = project_folder / PICKS / "curation_0_ribosom.json"
        path.write_text(json.dumps(make_picks("ribosom", [])))
        message = r"curation_0_ribosom\.json: picks of 'ribosom', .* lacks; closest: ribosome"
        with pytest.raises(InputError, match=message):
            open_project(project_folder).read_picks("TS_1")

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"points": [{"location": {"x": 1}}]}'])
    def test_a_broken_file(self, project_folder: Path, content: str) -> None:
        (project_folder / PICKS / "curation_0_ribosome.json").write_text(content)
        with pytest.raises(InputError, match=r"curation_0_ribosome\.json: "):
            open_project(project_folder).read_picks("TS_1")


class TestWriting:
    """What the program writes."""

    def test_picks_are_written_per_class_and_read_back(self, project_folder: Path) -> None:
        project = open_project(project_folder)
        picks = Picks([[1.5, 2, 3], [4, 5, 6]], [2, 0], [0.25, 0.75])  # type: ignore[arg-type]
        written = project.write_picks("TS_2", picks, "me", "1")
        names = ["me_1_apo-ferritin.json", "me_1_ribosome.json", "me_1_thyroglobulin.json"]
        assert [w.name for w in written] == names
        folder = project_folder / "overlay/ExperimentRuns/TS_2/Picks"
        assert sorted(p.name for p in folder.iterdir()) == names
        content = json.loads((folder / names[2]).read_text())
        assert content["run_name"] == "TS_2"
        assert content["points"][0]["location"] == {"x": 3, "y": 2, "z": 1.5}
        assert content["points"][0]["score"] == 0.25
        back = project.read_picks("TS_2", "me")
        np.testing.assert_array_equal(back.positions, picks.positions[[1, 0]])
        assert back.classes.tolist() == [0, 2]
        project.write_picks("TS_2", Picks.empty(), "me", "1")
        assert len(project.read_picks("TS_2", "me")) == 0

    @pytest.mark.parametrize(
        ("run", "user", "session"), [("../x", "me", "0"), ("TS_2", "m_e", "0"), ("TS_2", "me", "")]
    )
    def test_names_that_cannot_be_used(
        self, project_folder: Path, run: str, user: str, session: str
    ) -> None:
        with pytest.raises(InputError, match="can't be used as a name in a project"):
            open_project(project_folder).write_picks(run, Picks.empty(), user, session)

    def test_a_class_that_is_none(self, project_folder: Path) -> None:
        picks = Picks(np.zeros((1, 3)), np.array([3]))
        with pytest.raises(ValueError, match="classes below 3, but got 3"):
            open_project(project_folder).write_picks("TS_2", picks, "me", "0")

    def test_a_new_project(self, tmp_path: Path, types: ParticleTypes, volume: np.ndarray) -> None:
        project = create_project(tmp_path / "new", "mine", types)
        assert project.types == types
        assert project.runs == []
        path = project.add_tomogram("TS_1", volume, 7.84, "wbp")
        assert path == tmp_path / "new/static/ExperimentRuns/TS_1/VoxelSpacing7.840/wbp.zarr"
        project.write_picks("TS_1", Picks(np.ones((1, 3)), np.array([1])), "curation", "0")
        assert len(project.read_picks("TS_1")) == 1
        np.testing.assert_array_equal(zarr.open_array(path / "0", mode="r")[:], volume)
        shutil.move(tmp_path / "new", tmp_path / "moved")
        moved = open_project(tmp_path / "moved")
        assert moved.open_tomogram("TS_1", DataSettings()).voxel_spacing == (7.84, 7.84, 7.84)
        with pytest.raises(InputError, match="there is a copick project already"):
            create_project(tmp_path / "moved", "mine", types)

    @pytest.mark.parametrize(("run", "kind"), [("a/b", "wbp"), ("TS_1", "../wbp")])
    def test_tomograms_stay_in_the_project(
        self, tmp_path: Path, types: ParticleTypes, volume: np.ndarray, run: str, kind: str
    ) -> None:
        project = create_project(tmp_path / "new", "mine", types)
        with pytest.raises(InputError, match="can't be used as a name"):
            project.add_tomogram(run, volume, 10, kind)


def test_a_project_in_a_remote_store(
    project_folder: Path, volume: np.ndarray, rewrite: Any, types: ParticleTypes
) -> None:
    rewrite(static_root="memory://bucket/static", overlay_root="memory://bucket/overlay")
    memory = fsspec.filesystem("memory")
    for kind in ("static", "overlay"):
        memory.put(str(project_folder / kind), f"/bucket/{kind}", recursive=True)
    memory.put(str(project_folder / "copick_config.json"), "/bucket/copick_config.json")
    try:
        for place in (project_folder, "memory://bucket", "memory://bucket/copick_config.json"):
            project = open_project(place)
            assert project.runs == ["TS_1", "TS_2"]
            tomogram = project.open_tomogram("TS_1", DataSettings())
            np.testing.assert_array_equal(tomogram.volume[2:5], volume[2:5])
            assert len(project.read_picks("TS_1")) == 3
        project.write_picks("TS_2", Picks(np.ones((1, 3)), np.array([1])), "me", "0")
        assert len(project.read_picks("TS_2")) == 1
        with pytest.raises(InputError, match="tomograms are written to local folders only"):
            project.add_tomogram("TS_3", volume, 10, "wbp")
    finally:
        memory.rm("/bucket", recursive=True)

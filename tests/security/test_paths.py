"""Names from strangers never become paths outside the folder they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.formats.copick import create_project, open_project
from cryo_pick.formats.inputs import find_inputs
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.settings import DataSettings
from tests.bad_input.scene import TYPES, edit_json, make_bundle, make_project, volume

ESCAPES = ("../../evil", "..", "/etc/evil", "a/../../evil", "..\\evil", ".hidden", "a\nb", "a\0b")
ONE = Picks(np.ones((1, 3)), np.zeros(1, np.int64))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path / "project")
    return tmp_path / "project"


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", ESCAPES)
def test_a_run_name_cannot_leave_the_project(project: Path, tmp_path: Path, name: str) -> None:
    opened, before = open_project(project), _files(tmp_path)
    for act in (
        lambda: opened.write_picks(name, ONE, "cryo-pick", "0"),
        lambda: opened.write_picks("TS_1", ONE, name, "0"),
        lambda: opened.write_picks("TS_1", ONE, "cryo-pick", name),
        lambda: opened.add_tomogram(name, volume(), 20.0, "wbp"),
        lambda: opened.add_tomogram("TS_1", volume(), 20.0, name),
        lambda: opened.read_picks(name),
        lambda: opened.open_tomogram(name, DataSettings()),
    ):
        with pytest.raises(InputError, match="name in a project"):
            act()
    assert _files(tmp_path) == before


@pytest.mark.parametrize("name", ESCAPES[:6])
def test_an_object_name_cannot_leave_the_project(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ParticleTypes((ParticleType(name, 1, 60.0),))


@pytest.mark.parametrize("name", ESCAPES[:4])
def test_picks_of_a_run_called_like_a_path_stay_data(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picks.csv"
    path.write_text(f"experiment,particle_type,x,y,z\n{name},ribosome,1,2,3\n")
    picks, _ = read_picks(path, TYPES)
    assert list(picks) == [name]
    assert _files(tmp_path) == {path}


def test_a_link_that_leads_out_is_read_and_not_written(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    run = project / "overlay/ExperimentRuns/TS_1"
    run.rename(outside)
    run.symlink_to(outside)
    opened, before = open_project(project), _files(outside)
    assert len(opened.read_picks("TS_1")) == 6
    with pytest.raises(InputError, match="a link leads out of the project"):
        opened.write_picks("TS_1", ONE, "cryo-pick", "0")
    assert _files(outside) == before


def test_a_link_inside_the_project_is_written_through(project: Path) -> None:
    runs = project / "overlay/ExperimentRuns"
    (runs / "TS_1").rename(runs / "TS_0")
    (runs / "TS_1").symlink_to(runs / "TS_0")
    (written, _) = open_project(project).write_picks("TS_1", ONE, "cryo-pick", "0")
    assert written.exists()


def test_a_tomogram_is_not_written_through_a_link_that_leads_out(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (project / "static/ExperimentRuns/TS_3").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="a link leads out of the project"):
        open_project(project).add_tomogram("TS_3", volume(), 20.0, "wbp")
    assert not _files(tmp_path / "outside")


@pytest.mark.parametrize("member", ["../other", "/etc/passwd", "detector/../../other"])
def test_a_member_cannot_leave_the_bundle(tmp_path: Path, member: str) -> None:
    make_bundle(tmp_path / "bundle")
    edit_json(tmp_path / "bundle/bundle.json", detectors=[member])
    with pytest.raises(InputError, match="outside the bundle"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("url", ["reference://x", "simplecache::http://x", "zip://a::file:///b",
                                 "python://os", "dask://x", "github://a:b@c/"])  # fmt: skip
def test_a_store_that_is_not_listed_is_refused(tmp_path: Path, url: str) -> None:
    project = create_project(tmp_path / "p", "tiny", TYPES)
    edit_json(tmp_path / "p/copick_config.json", overlay_root=url, static_root=url)
    with pytest.raises(InputError, match="protocol"):
        open_project(project.config.path)
    with pytest.raises(InputError, match="protocol"):
        find_inputs(url, DataSettings())

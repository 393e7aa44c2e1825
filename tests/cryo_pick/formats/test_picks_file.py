"""Every source that is accepted where a command says PICKS."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import OWN_USER, open_project
from cryo_pick.formats.picks_csv import write_csv
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.formats.star import write_star
from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.picks import Picks


@pytest.fixture
def picks() -> dict[str, Picks]:
    """One pick."""
    return {"TS_1": Picks([[3, 2, 1]], [1], [0.5])}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["p.csv", "p.CSV", "p.star", "predicted"])
def test_files_and_predictions(
    tmp_path: Path, types: ParticleTypes, picks: dict[str, Picks], name: str
) -> None:
    if name.endswith("star"):
        write_star(tmp_path / name, picks, types, 10)
    else:
        write_csv(
            tmp_path / name / "picks.csv" if name == "predicted" else tmp_path / name, picks, types
        )
    found, found_types = read_picks(tmp_path / name, types)
    assert found_types is types
    assert list(found) == ["TS_1"]
    assert found["TS_1"].positions.tolist() == [[3, 2, 1]]
    with pytest.raises(ConfigError, match=r"doesn't say the radius .*--objects czii"):
        read_picks(tmp_path / name)


@pytest.mark.parametrize("name", ["", "copick_config.json"])
def test_a_copick_project(project_folder: Path, name: str) -> None:
    found, types = read_picks(project_folder / name)
    assert types.names == ("apo-ferritin", "ribosome", "thyroglobulin")
    assert {run: len(p) for run, p in found.items()} == {"TS_1": 3, "TS_2": 0}


def test_classes_are_counted_in_the_types_asked_for(project_folder: Path) -> None:
    found, types = read_picks(project_folder, CZII_TYPES)
    assert types is CZII_TYPES
    assert found["TS_1"].classes.tolist() == [0, 0, 3]
    with pytest.raises(InputError, match=r"copick_config\.json: no particle type 'apo-ferritin'"):
        read_picks(project_folder, ParticleTypes(CZII_TYPES.types[3:]))


def test_users_are_chosen(project_folder: Path, make_picks: Any) -> None:
    project = open_project(project_folder)
    project.write_picks("TS_2", Picks(np.ones((4, 3)), np.zeros(4, int)), OWN_USER, "0")
    assert len(read_picks(project_folder)[0]["TS_2"]) == 0
    assert len(read_picks(project_folder, user_id=OWN_USER)[0]["TS_2"]) == 4
    folder = project_folder / "overlay/ExperimentRuns/TS_1/Picks"
    for path in folder.iterdir():
        path.write_text(json.dumps(make_picks("x", [])))
    assert len(read_picks(project_folder)[0]["TS_2"]) == 4


def test_what_is_no_source(tmp_path: Path, types: ParticleTypes) -> None:
    with pytest.raises(InputError, match="nothing: no such file or folder"):
        read_picks(tmp_path / "nothing", types)
    with pytest.raises(InputError, match=r"none\.csv: can't be read"):
        read_picks(tmp_path / "none.csv", types)
    (tmp_path / "p.txt").write_text("x")
    with pytest.raises(InputError, match=r"expected picks as \.csv, \.star, .* but got a \.txt"):
        read_picks(tmp_path / "p.txt", types)
    (tmp_path / "p").write_text("x")
    with pytest.raises(InputError, match="but got a file without ending"):
        read_picks(tmp_path / "p", types)
    with pytest.raises(InputError, match="no copick config in this folder"):
        read_picks(tmp_path, types)

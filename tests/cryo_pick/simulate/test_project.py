import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.copick import open_project
from cryo_pick.objects import CZII_TYPES
from cryo_pick.settings import DataSettings
from cryo_pick.simulate import project
from cryo_pick.simulate.project import SimulationPlan, check_target, write_simulation
from cryo_pick.simulate.run import SimulateSettings, simulate_run

SETTINGS = SimulateSettings(voxel_spacing=25.0, tomo_types=("denoised", "wbp"))
PLAN = SimulationPlan(2, (20, 40, 48), seed=11, settings=SETTINGS)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "P"
    write_simulation(out, PLAN)
    return out


def test_the_project_holds_what_simulate_run_makes(simulated: Path) -> None:
    opened = open_project(simulated)
    assert opened.types == CZII_TYPES
    assert opened.runs == ["SIM-0000", "SIM-0001"]
    for index, run in enumerate(opened.runs):
        made = simulate_run(11 + index, PLAN.shape, SETTINGS)
        assert opened.voxel_spacings(run) == [25.0]
        assert opened.tomo_types(run, 25.0) == ["denoised", "wbp"]
        for tomo_type, volume in made.volumes.items():
            tomogram = opened.open_tomogram(run, DataSettings(tomo_type=tomo_type))
            np.testing.assert_array_equal(tomogram.array(), volume)
            assert tomogram.voxel_spacing == (25.0, 25.0, 25.0)
            assert tomogram.origin == (0.0, 0.0, 0.0)
        picks = opened.read_picks(run, user_id="curation", session_id="0")
        np.testing.assert_allclose(picks.positions, made.picks.positions)
        np.testing.assert_array_equal(picks.classes, made.picks.classes)


def test_tomograms_are_ome_zarr_0_4_with_three_levels(simulated: Path) -> None:
    place = simulated / "static/ExperimentRuns/SIM-0000/VoxelSpacing25.000/wbp.zarr"
    group = zarr.open_group(place, mode="r", zarr_format=2)
    (image,) = group.attrs["multiscales"]
    assert image["version"] == "0.4"
    assert [group[str(i)].shape for i in range(3)] == [(20, 40, 48), (10, 20, 24), (5, 10, 12)]


def test_the_config_names_its_own_roots_and_how_it_was_made(simulated: Path) -> None:
    config = json.loads((simulated / "copick_config.json").read_text())
    assert config["static_root"] == f"local://{simulated.resolve().as_posix()}/static"
    assert config["overlay_root"] == f"local://{simulated.resolve().as_posix()}/overlay"
    assert config["simulation"]["seed"] == 11
    assert config["simulation"]["size"] == [20, 40, 48]
    assert [p.name for p in simulated.parent.iterdir()] == ["P"]


def test_a_run_does_not_depend_on_the_runs_beside_it(simulated: Path, tmp_path: Path) -> None:
    seen = []
    later = SimulationPlan(1, PLAN.shape, seed=12, settings=SETTINGS)
    summaries = write_simulation(tmp_path / "Q", later, on_run=seen.append)
    assert summaries == seen
    assert summaries[0].run == "SIM-0000"
    first = open_project(tmp_path / "Q").read_picks("SIM-0000")
    second = open_project(simulated).read_picks("SIM-0001")
    np.testing.assert_array_equal(first.positions, second.positions)
    assert sum(summaries[0].n_picks) == len(first)


def test_workers_change_nothing(simulated: Path, tmp_path: Path) -> None:
    summaries = write_simulation(tmp_path / "Q", PLAN, n_workers=2)
    assert [s.run for s in summaries] == ["SIM-0000", "SIM-0001"]
    for run in ("SIM-0000", "SIM-0001"):
        left, right = (
            open_project(p).open_tomogram(run, DataSettings(tomo_type="wbp")).array()
            for p in (simulated, tmp_path / "Q")
        )
        np.testing.assert_array_equal(left, right)


def test_only_an_earlier_simulation_is_replaced(simulated: Path, tmp_path: Path) -> None:
    check_target(tmp_path / "new", overwrite=False)
    check_target(tmp_path, overwrite=False)
    check_target(simulated, overwrite=True)
    with pytest.raises(ConfigError, match="--overwrite replaces it"):
        check_target(simulated, overwrite=False)
    (tmp_path / "copick_config.json").write_text(json.dumps({"name": "mine"}))
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="not made by `cryo-pick simulate`"):
            check_target(tmp_path, overwrite=overwrite)
    with pytest.raises(ConfigError, match="is a file"):
        check_target(tmp_path / "copick_config.json", overwrite=True)


def test_overwrite_replaces_the_whole_project_and_spares_other_files(tmp_path: Path) -> None:
    out = tmp_path / "P"
    write_simulation(out, PLAN)
    write_simulation(out, SimulationPlan(1, PLAN.shape, settings=SETTINGS), overwrite=True)
    assert open_project(out).runs == ["SIM-0000"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"also holds notes\.txt"):
        write_simulation(out, PLAN, overwrite=True)
    assert open_project(out).runs == ["SIM-0000"]


def test_a_failure_leaves_what_was_there(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no such folder"):
        write_simulation(tmp_path / "P", SimulationPlan(1, PLAN.shape, densities=tmp_path / "no"))
    before = (simulated / "copick_config.json").read_bytes()

    def fail(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "simulate_run", fail)
    with pytest.raises(KeyboardInterrupt):
        write_simulation(tmp_path / "P", PLAN)
    with pytest.raises(KeyboardInterrupt):
        write_simulation(simulated, PLAN, overwrite=True)
    assert list(tmp_path.iterdir()) == []
    assert (simulated / "copick_config.json").read_bytes() == before
    assert [p.name for p in simulated.parent.iterdir()] == ["P"]


def test_a_plan_without_runs_or_with_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="`n_runs` to be 1 or more, but got 0"):
        SimulationPlan(0, PLAN.shape)
    with pytest.raises(ValueError, match="`seed` to be 0 or more, but got -1"):
        SimulationPlan(1, PLAN.shape, seed=-1)

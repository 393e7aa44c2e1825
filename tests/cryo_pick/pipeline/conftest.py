"""One small simulated project, and one bundle trained on it in seconds, for all tests here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cryo_pick.cli import main
from cryo_pick.simulate.project import SimulationPlan, write_simulation
from cryo_pick.simulate.run import SimulateSettings

SHAPE = (40, 72, 80)
SETTINGS = SimulateSettings(voxel_spacing=20.0, crowding=30.0)
SMOKE = ["experiment=smoke", "infer.engine=torch"]


@pytest.fixture(scope="session")
def _simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs with every class in each."""
    folder = tmp_path_factory.mktemp("simulated") / "project"
    write_simulation(folder, SimulationPlan(4, SHAPE, 7, SETTINGS))
    return folder


@pytest.fixture(scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYO_PICK_CACHE", str(_cache))


@pytest.fixture(scope="session")
def project(_simulated: Path) -> Path:
    """The project; not to be changed."""
    return _simulated


@pytest.fixture
def own_project(_simulated: Path, tmp_path: Path) -> Path:
    """A copy that a test may break; its config names its own roots."""
    copy = Path(shutil.copytree(_simulated, tmp_path / "project"))
    config = copy / "copick_config.json"
    config.write_text(config.read_text().replace(str(_simulated), str(copy)))
    return copy


@pytest.fixture(scope="session")
def bundle(_simulated: Path, _cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of both stages; worthless as a picker, whole as a bundle."""
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYO_PICK_CACHE", str(_cache))
        assert main(["train", str(_simulated), "--out", str(folder), *SMOKE]) == 0
    return folder

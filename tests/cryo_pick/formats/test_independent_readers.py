"""What other programs read from the files that `export` writes.

Those that are not in the tests' own environment get one of their own, which is made once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryo_pick.formats.copick import open_project
from tests.reference import readers
from tests.reference.environments import (
    PRERELEASE as PRERELEASE_PACKAGES,
)
from tests.reference.environments import STABLE as STABLE_PACKAGES
from tests.reference.environments import NoEnvironment, python_with, read_with
from tests.reference.format_scene import (
    HERE,
    OUTPUTS,
    PRERELEASE,
    READINGS,
    STABLE,
    TOLERANCE,
    VOLUMES,
    Reading,
    Scene,
    export,
    largest_error,
    make_scene,
)

PACKAGES = {STABLE: STABLE_PACKAGES, PRERELEASE: PRERELEASE_PACKAGES}
Read = Callable[[Reading], dict[str, Any]]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = make_scene(tmp_path_factory.mktemp("formats"))
    for format_ in OUTPUTS:
        assert export(made, format_) == 0, format_
    made.folder.joinpath("thresholds").touch()
    open_project(made.folder / "project").write_thresholds({"ribosome": 0.25, "apo-ferritin": None})
    return made


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path | NoEnvironment]:
    """Filled as environments are asked for; a failure is remembered too."""
    return {}


@pytest.fixture
def read(scene: Scene, pythons: dict[str, Any]) -> Read:
    """Reads with the program of a reading, wherever it is."""

    def read_it(reading: Reading) -> dict[str, Any]:
        arguments = [
            str(scene.folder / a) if (scene.folder / a).exists() else a for a in reading.arguments
        ]
        if reading.where == HERE:
            return readers.read(reading.reader, *arguments)
        if reading.where not in pythons:
            try:
                pythons[reading.where] = python_with(PACKAGES[reading.where])
            except NoEnvironment as error:
                pythons[reading.where] = error
        python = pythons[reading.where]
        if isinstance(python, NoEnvironment):
            pytest.skip(f"no environment for {reading.where}: {python}")
        return read_with(python, reading.reader, *arguments)

    return read_it


def cases(readings: tuple[Reading, ...]) -> list[Any]:
    """Parameters; those that need an environment are slow."""
    return [
        pytest.param(r, id=f"{r.format}-{r.reader}-{r.where}", marks=[pytest.mark.slow] * slow)
        for r in readings
        for slow in [r.where != HERE]
    ]


@pytest.mark.parametrize("reading", cases(READINGS))
def test_picks_are_where_they_were(scene: Scene, read: Read, reading: Reading) -> None:
    expected = scene.points(with_score=reading.format != "kaggle")
    assert largest_error(read(reading)["points"], expected) < TOLERANCE


@pytest.mark.parametrize("reading", cases(VOLUMES))
def test_volumes_are_the_same(scene: Scene, read: Read, reading: Reading) -> None:
    found = read(reading)["points"]
    assert found[:3] == list(scene.volume.shape)
    assert found[3] == pytest.approx(readers.SPACING, rel=1e-6)
    assert found[4] == pytest.approx(scene.volume.astype(float).sum(), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("where", [STABLE, PRERELEASE])
def test_copick_reads_the_objects_and_thresholds(scene: Scene, read: Read, where: str) -> None:
    config = "project/copick_config.json"
    found = read(Reading("copick", "copick_objects", where, (config,)))["points"]
    types = open_project(scene.folder / "project").types
    assert [row[:3] for row in found] == [[t.name, t.label, t.radius] for t in types]
    assert [tuple(row[3]) for row in found] == [t.color for t in types]
    metadata = {row[0]: row[4] for row in found}
    assert metadata["ribosome"] == {"score_weight": 1.0, "score_threshold": 0.25}
    assert metadata["apo-ferritin"] == {"score_weight": 1.0, "score_threshold": None}
    assert metadata["thyroglobulin"] == {"score_weight": 2.0}


@pytest.mark.parametrize("format_", ["mrc", "ome-zarr", "ome-zarr-0.5"])
def test_every_voxel_comes_back(scene: Scene, format_: str) -> None:
    from cryo_pick.formats.inputs import find_inputs
    from cryo_pick.settings import DataSettings

    (_, second) = find_inputs(scene.folder / OUTPUTS[format_], DataSettings())
    tomogram = second.open()
    np.testing.assert_array_equal(tomogram.array(), scene.volume)
    assert tomogram.voxel_spacing == pytest.approx((readers.SPACING,) * 3)

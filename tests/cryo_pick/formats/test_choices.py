"""What the data settings choose."""

import pytest

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.formats.choices import choose_origin, choose_runs
from cryo_pick.settings import DataSettings

RUNS = ["TS_1", "TS_2", "TS_3"]
SPACING = (10.0, 20.0, 30.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (DataSettings(), RUNS),
        (DataSettings(runs=["TS_3", "TS_1"]), ["TS_1", "TS_3"]),
        (DataSettings(exclude_runs=["TS_2"]), ["TS_1", "TS_3"]),
        (DataSettings(runs=["TS_1", "TS_2"], exclude_runs=["TS_1"]), ["TS_2"]),
        (DataSettings(runs=[]), []),
    ],
)
def test_runs_are_named_or_left_out(settings: DataSettings, expected: list[str]) -> None:
    assert choose_runs(RUNS, settings, "here") == expected


@pytest.mark.parametrize("field", ["runs", "exclude_runs"])
def test_an_unknown_run_is_answered_with_the_closest(field: str) -> None:
    with pytest.raises(InputError, match=f"here: data.{field}: no run 'TS_9'; closest: TS_"):
        choose_runs(RUNS, DataSettings(**{field: ["TS_9"]}), "here")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (DataSettings(), (1, 2, 3)),
        (DataSettings(origin=[4, 5, 6]), (4, 5, 6)),
        (DataSettings(origin=[7]), (7, 7, 7)),
        (DataSettings(origin_voxels=-0.5), (-5, -10, -15)),
        (DataSettings(origin_voxels=0), (0, 0, 0)),
    ],
)
def test_the_settings_go_before_the_file(
    settings: DataSettings, expected: tuple[float, ...]
) -> None:
    assert choose_origin((1, 2, 3), SPACING, settings) == expected


def test_two_origins_or_half_a_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.origin or data\.origin_voxels, not both"):
        choose_origin((0, 0, 0), SPACING, DataSettings(origin=[0, 0, 0], origin_voxels=0))
    with pytest.raises(ConfigError, match=r"`data\.origin` to be 1 or 3 finite numbers"):
        choose_origin((0, 0, 0), SPACING, DataSettings(origin=[0, 0]))
    with pytest.raises(ConfigError, match=r"`data\.origin` to be 1 or 3 finite numbers"):
        choose_origin((0, 0, 0), SPACING, DataSettings(origin=[]))

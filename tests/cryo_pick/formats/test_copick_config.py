"""Objects and roots of a copick config."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.copick_config import (
    distinct_roots,
    find_config,
    is_config,
    parse_objects,
    read_config,
    resolve_root,
)
from cryo_pick.formats.location import Location


def test_types_are_in_the_order_of_their_labels(config: dict[str, Any]) -> None:
    types, others = parse_objects(config, "config")
    assert types.names == ("apo-ferritin", "ribosome", "thyroglobulin")
    assert types.weights.tolist() == [2, 1, 1]
    assert types.radii.tolist() == [60, 150, 130]
    assert types[0].color == (1, 2, 3, 4)
    assert types[1].color == (255, 180, 0, 255)
    assert others == {"membrane"}


def test_a_colour_of_three_numbers_is_opaque() -> None:
    item = {"name": "a", "label": 1, "radius": 5, "color": [1, 2, 3.0]}
    assert parse_objects({"pickable_objects": [item]}, "x")[0][0].color == (1, 2, 3, 255)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": None}, "object 0: field `name` must be text, but is None"),
        ({"name": "a_b"}, "object a_b: .*copick object name"),
        ({"label": "1"}, "object a: field `label` must be a whole number, but is '1'"),
        ({"label": True}, "field `label` must be a whole number, but is True"),
        ({"label": 0}, "`label` of a to be 1 or more"),
        ({"radius": None}, "object a: no field `radius`; give it in Å"),
        ({"radius": "60"}, "field `radius` must be a number, but is '60'"),
        ({"radius": float("nan")}, "field `radius` must be a number, but is nan"),
        ({"radius": 10**400}, "field `radius` must be a number"),
        ({"radius": -5}, "`radius` of a to be above 0 Å, but got -5"),
        (
            {"metadata": {"score_weight": "x"}},
            "`metadata.score_weight` must be a number, but is 'x'",
        ),
        ({"metadata": {"score_weight": -1}}, "`weight` of a to be 0 or more"),
        ({"color": "red"}, "field `color` must be 3 or 4 numbers from 0 to 255, but is 'red'"),
        ({"color": [1, 2, 999]}, "field `color` must be"),
        ({"is_particle": False}, "no pickable object with `is_particle` true"),
    ],
)
def test_an_object_that_cannot_be_used(fields: dict[str, Any], message: str) -> None:
    item = {"name": "a", "label": 1, "radius": 60, **fields}
    with pytest.raises(InputError, match=f"(?s)^here.*{message}"):
        parse_objects({"pickable_objects": [item]}, "here")


def test_every_problem_is_listed() -> None:
    objects = [{"name": "a", "label": 1}, {"name": "b"}, "c"]
    with pytest.raises(InputError, match=r"(?s)3 problems.*object a: .*object b: .*object 2: "):
        parse_objects({"pickable_objects": objects}, "here")


def test_the_list_itself(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="field `pickable_objects` must be a list"):
        parse_objects({"pickable_objects": {}}, "here")
    config["pickable_objects"][0]["label"] = 1
    with pytest.raises(InputError, match="distinct object labels, but got 1 twice"):
        parse_objects(config, "here")


@given(
    st.dictionaries(
        st.sampled_from(["name", "label", "radius", "color", "metadata", "is_particle"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.integers()),
    )
)
def test_any_object_is_read_or_refused(item: dict[str, Any]) -> None:
    message = "here"
    try:
        types, _ = parse_objects({"pickable_objects": [item]}, "here")
    except InputError as error:
        message = str(error)
    else:
        assert types.names == (item["name"],)
    assert message.startswith("here")


class TestFindConfig:
    """The config in a folder."""

    def test_the_usual_name_comes_first(self, project_folder: Path) -> None:
        (project_folder / "other.json").write_text('{"pickable_objects": []}')
        found = find_config(Location.of(project_folder))
        assert found.local == project_folder / "copick_config.json"
        assert find_config(found) == found

    def test_another_name_will_do(self, project_folder: Path) -> None:
        (project_folder / "copick_config.json").rename(project_folder / "mine.json")
        (project_folder / "list.json").write_text("[]")
        (project_folder / "broken.json").write_text("{")
        assert find_config(Location.of(project_folder)).name == "mine.json"
        assert not is_config(Location.of(project_folder / "list.json"))

    def test_two_of_them_are_too_many(self, tmp_path: Path) -> None:
        for name in ("a.json", "b.json"):
            (tmp_path / name).write_text('{"pickable_objects": []}')
        with pytest.raises(InputError, match=r"more than one copick config \(a.json, b.json\)"):
            find_config(Location.of(tmp_path))

    def test_none_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no copick config in this folder"):
            find_config(Location.of(tmp_path))
        with pytest.raises(InputError, match="no such copick config or project folder"):
            find_config(Location.of(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no copick config; expected an object with `pickable_objects`"),
        ("{}", "no copick config"),
        ("{", "not valid JSON"),
        ('{"pickable_objects": [], "config_type": "cryoet_data_portal"}', "only 'filesystem'"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match=rf"c\.json: .*{message}"):
        read_config(Location.of(tmp_path / "c.json"))


class TestRoots:
    """Where a config says its files are."""

    def test_a_folder_that_moved_is_found_beside_the_config(
        self, project_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        moved = tmp_path / "elsewhere"
        shutil.move(project_folder, moved)
        config = json.loads((moved / "copick_config.json").read_text())
        with caplog.at_level(logging.INFO):
            roots = distinct_roots(config, Location.of(moved / "copick_config.json"))
        assert [r.local for r in roots] == [moved / "overlay", moved / "static"]
        assert "is not there; using" in caplog.text

    def test_a_folder_that_is_there_is_taken(self, project_folder: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(project_folder, copy)
        config = json.loads((copy / "copick_config.json").read_text())
        roots = distinct_roots(config, Location.of(copy / "copick_config.json"))
        assert roots[0].local == project_folder / "overlay"

    @pytest.mark.parametrize("url", ["data", "./data", "local://data", "data/"])
    def test_a_relative_path_is_one_beside_the_config(self, tmp_path: Path, url: str) -> None:
        place = Location.of(tmp_path / "c.json")
        root = resolve_root({"static_root": url}, "static_root", place)
        assert root is not None
        assert root.local == tmp_path / "data"

    def test_equal_roots_are_one(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "link").symlink_to("data")
        place = Location.of(tmp_path / "c.json")
        for static in ("data", f"local://{tmp_path}/data/", "link"):
            config = {"overlay_root": f"local://{tmp_path}/data", "static_root": static}
            assert len(distinct_roots(config, place)) == 1

    def test_other_protocols_are_opened_by_fsspec(self, tmp_path: Path) -> None:
        place = Location.of(tmp_path / "c.json")
        root = resolve_root({"static_root": "memory://bucket/data"}, "static_root", place)
        assert str(root) == "memory:///bucket/data"
        assert resolve_root({}, "static_root", place) is None

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({}, "neither `overlay_root` nor `static_root` is given"),
            ({"static_root": 5}, "field `static_root` must be a path or URL, but is 5"),
            ({"static_root": ""}, "field `static_root` must be a path or URL"),
            ({"static_root": "x", "static_fs_args": []}, None),
            (
                {"static_root": "x", "static_fs_args": [1]},
                "field `static_fs_args` must be an object",
            ),
            ({"static_root": "nosuch://x"}, "can't open this URL"),
            ({"static_root": "/no/such/folder"}, "are not there: /no/such/folder"),
        ],
    )
    def test_roots_that_cannot_be_used(
        self, tmp_path: Path, config: dict[str, Any], message: str | None
    ) -> None:
        with pytest.raises(InputError, match=message or "are not there"):
            distinct_roots(config, Location.of(tmp_path / "c.json"))

"""The picks JSON of copick."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryo_pick.errors import InputError
from cryo_pick.formats.copick_picks import PicksName, parse_picks, picks_json, safe_name

NAME = PicksName("me", "0", "ribosome")


def test_x_y_z_of_the_file_are_z_y_x_inside(make_picks: Any) -> None:
    positions, scores = parse_picks(make_picks("a", [[1.0, 2.0, 3.0]]), "x")
    assert positions.tolist() == [[3, 2, 1]]
    assert scores.tolist() == [1]


def test_what_is_written_has_the_fields_of_copick() -> None:
    content = json.loads(picks_json(NAME, "TS_1", np.array([[3.0, 2, 1]]), np.array([0.5])))
    assert content == {
        "pickable_object_name": "ribosome",
        "user_id": "me",
        "session_id": "0",
        "run_name": "TS_1",
        "voxel_spacing": None,
        "unit": "angstrom",
        "trust_orientation": False,
        "points": [
            {
                "location": {"x": 1.0, "y": 2.0, "z": 3.0},
                "transformation_": np.eye(4).tolist(),
                "instance_id": 0,
                "score": 0.5,
            }
        ],
    }


@given(
    arrays(float, (3, 3), elements=st.floats(-1e6, 1e6)),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_written_and_read_back_nothing_changes(positions: np.ndarray, scores: list[float]) -> None:
    text = picks_json(NAME, "TS_1", positions, np.array(scores))
    back, back_scores = parse_picks(json.loads(text), "x")
    np.testing.assert_array_equal(back, positions)
    np.testing.assert_array_equal(back_scores, scores)


@pytest.mark.parametrize("points", [[], None])
def test_no_points_are_legal(points: Any) -> None:
    positions, scores = parse_picks({"points": points}, "x")
    assert positions.shape == (0, 3)
    assert scores.shape == (0,)


def point(**changed: Any) -> dict[str, Any]:
    location = {"x": 1, "y": 2, "z": 3} | {k: v for k, v in changed.items() if k in "xyz"}
    return {"location": location} | {k: v for k, v in changed.items() if k not in "xyz"}


def test_a_missing_score_is_one() -> None:
    assert parse_picks({"points": [point(), point(score=None)]}, "x")[1].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no copick picks; expected a JSON object with `points`"),
        ({"unit": "voxel", "points": []}, "field `unit` must be 'angstrom', but is 'voxel'"),
        ({"points": {}}, "field `points` must be a list"),
        ({"points": [1]}, "point 0: no field `location` with x, y and z"),
        (
            {"points": [point(), {"location": {"x": 1, "y": 2}}]},
            "point 1: field `location.z` is missing",
        ),
        ({"points": [point(x="1")]}, "point 0: field `location.x` must be a number, but is '1'"),
        ({"points": [point(y=True)]}, "field `location.y` must be a number, but is True"),
        ({"points": [point(y=float("nan"))]}, "`location.y` must be a finite number, but is nan"),
        ({"points": [point(z=10**400)]}, "`location.z` must be a finite number"),
        (
            {"points": [point(score=float("inf"))]},
            "field `score` must be a finite number, but is inf",
        ),
        ({"points": [point(score="high")]}, "field `score` must be a number, but is 'high'"),
    ],
)
def test_what_cannot_be_used_is_named(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^file: .*{message}"):
        parse_picks(content, "file")


def test_ten_problems_are_listed() -> None:
    with pytest.raises(InputError, match=r"(?s)10 problems.*point 0: .*point 9: "):
        parse_picks({"points": [{}] * 50}, "file")


@given(
    st.dictionaries(
        st.sampled_from(["points", "unit"]),
        st.none()
        | st.lists(
            st.dictionaries(
                st.sampled_from(["location", "score"]),
                st.none()
                | st.floats()
                | st.dictionaries(st.sampled_from("xyz"), st.integers() | st.floats()),
            )
        ),
    )
)
def test_any_content_is_read_or_refused(content: dict[str, Any]) -> None:
    message = "file: "
    try:
        positions, scores = parse_picks(content, "file")
    except InputError as error:
        message = str(error)
    else:
        assert len(positions) == len(scores)
        assert np.isfinite(positions).all()
    assert message.startswith("file: ")


@pytest.mark.parametrize(
    ("file_name", "parts"),
    [
        ("curation_0_apo-ferritin.json", ("curation", "0", "apo-ferritin")),
        ("a_b_0_x.json", ("a_b", "0", "x")),
        ("apo-ferritin.json", ("", "", "apo-ferritin")),
    ],
)
def test_file_names_are_taken_apart_and_joined(file_name: str, parts: tuple[str, ...]) -> None:
    name = PicksName.parse(file_name)
    assert name == PicksName(*parts)
    assert name.file_name == file_name


@pytest.mark.parametrize(
    "file_name", ["a_b.json", "notes.txt", ".json", ".hidden_0_x.json", "json"]
)
def test_other_file_names_are_no_picks(file_name: str) -> None:
    assert PicksName.parse(file_name) is None


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\\b", "a\nb", "a\0b", "x" * 300])
def test_names_that_would_leave_the_project(name: str) -> None:
    with pytest.raises(InputError, match=r"run .* can't be used as a name in a project"):
        safe_name(name, "run", underscore=True)


def test_an_underscore_is_for_runs_only() -> None:
    assert safe_name("TS_1", "run", underscore=True) == "TS_1"
    with pytest.raises(InputError, match=r"user_id 'a_b' can't be used .*no '_'"):
        safe_name("a_b", "user_id")

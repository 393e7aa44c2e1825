"""Spacing and origin from axes, units and transforms."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryo_pick.errors import InputError
from cryo_pick.formats.ome_metadata import parse_level


def image(
    *transforms: dict[str, Any], unit: str | None = "angstrom", **fields: Any
) -> dict[str, Any]:
    axes = [{"name": n, "type": "space"} | ({"unit": unit} if unit else {}) for n in "zyx"]
    dataset = {"path": "0", "coordinateTransformations": list(transforms)}
    return {"multiscales": [{"axes": axes, "datasets": [dataset], **fields}]}


def scale(*numbers: Any) -> dict[str, Any]:
    return {"type": "scale", "scale": list(numbers)}


def translation(*numbers: Any) -> dict[str, Any]:
    return {"type": "translation", "translation": list(numbers)}


@pytest.mark.parametrize(
    ("unit", "spacing"), [("angstrom", 1.0), ("nanometer", 10.0), (None, 1.0), ("micrometer", 1e4)]
)
def test_units_are_converted_and_missing_ones_are_angstrom(
    unit: str | None, spacing: float
) -> None:
    level = parse_level(image(scale(1, 1, 2), translation(1, 2, 3), unit=unit), 0, "x")
    assert level.voxel_spacing == (spacing, spacing, 2 * spacing)
    assert level.origin == (spacing, 2 * spacing, 3 * spacing)


def test_transforms_of_the_image_come_after_those_of_the_level() -> None:
    shared = [scale(2, 2, 2), translation(1, 1, 1)]
    attributes = image(scale(10, 10, 10), translation(5, 6, 7), coordinateTransformations=shared)
    level = parse_level(attributes, 0, "x")
    assert level.voxel_spacing == (20, 20, 20)
    assert level.origin == (11, 13, 15)


def test_identity_changes_nothing() -> None:
    assert parse_level(image({"type": "identity"}, scale(3, 3, 3)), 0, "x").origin == (0, 0, 0)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "`multiscales` is missing or empty"),
        ({"multiscales": []}, "`multiscales` is missing or empty"),
        ({"multiscales": [{}]}, "`axes` is missing; expected version 0.4 or 0.5"),
        ({"multiscales": [{"axes": ["z", "y", "x"]}]}, "`axes` is missing"),
        (
            {"multiscales": [{"axes": [{"name": n} for n in "xyz"]}]},
            "axes z, y, x, but got x, y, z",
        ),
        (image(scale(1, 1, 1), unit="parsec"), "unit of z: expected one of .*; got 'parsec'"),
        (image(scale(1, 1, 1), datasets=[]), "`datasets` lists no level"),
        (image(scale(1, 1, 1), datasets=["0"]), "level 0 is not described by an object"),
        (image(scale(1, 1, 1), datasets=[{"path": "../x"}]), "relative `path` inside the image"),
        (image(scale(1, 1, 1), datasets=[{"path": "/x"}]), "relative `path` inside the image"),
        (image(scale(1, 1, 1), datasets=[{"path": "0"}]), "no list of `coordinateTransformations`"),
        (image(), "level 0 has no scale, so its voxel spacing is unknown"),
        (image(translation(1, 1, 1)), "level 0 has no scale"),
        (image({"type": "affine"}), "transform of type 'affine'; known: scale, translation"),
        (image(scale(1, 1)), r"expected the scale of level 0 to be 3 numbers, but got \[1, 1\]"),
        (image(scale(1, 1, "a")), "expected the scale of level 0 to be 3 numbers"),
        (image(scale(1, 1, float("nan"))), "expected the scale of level 0 to be 3 numbers"),
        (image(scale(1, 0, 1)), "expected a scale above 0"),
        (image(scale(1, -2, 1)), "expected a scale above 0"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*{message}"):
        parse_level(attributes, 0, "here")


def test_a_level_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="has levels 0 to 0, but level 1 was asked for"):
        parse_level(image(scale(1, 1, 1)), 1, "here")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["multiscales", "axes", "datasets", "path", "scale", "type", "unit"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_any_json_is_read_or_refused(one: Any, other: Any) -> None:
    for attributes in (
        {"multiscales": one},
        image(datasets=one, coordinateTransformations=other),
        {"multiscales": [{"axes": one, "datasets": other}]},
    ):
        message = "x: "
        try:
            parse_level(attributes, 0, "x")
        except InputError as error:
            message = str(error)
        assert message.startswith("x: ")

"""Particle types: checks, order and lookup."""

import numpy as np
import pytest

from cryo_pick.objects import CZII_TYPES, ParticleType, ParticleTypes


@pytest.mark.parametrize("name", ["", "two_words", "a/b", "a\\b", ".hidden"])
def test_a_name_that_copick_forbids_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="argument `name` to be a copick object name"):
        ParticleType(name, 1, 10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": 0}, "`label` of x to be 1 or more, but got 0"),
        ({"radius": 0}, "`radius` of x to be above 0 Å, but got 0"),
        ({"radius": float("nan")}, "`radius` of x to be above 0 Å, but got nan"),
        ({"weight": -1}, "`weight` of x to be 0 or more, but got -1"),
        ({"weight": float("inf")}, "`weight` of x to be 0 or more, but got inf"),
    ],
)
def test_a_field_out_of_range_is_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParticleType(**{"name": "x", "label": 1, "radius": 10, **changed})  # type: ignore[arg-type]


def test_names_and_labels_are_distinct() -> None:
    a = ParticleType("a", 1, 10)
    with pytest.raises(ValueError, match="distinct object names, but got a twice"):
        ParticleTypes((a, ParticleType("a", 2, 10)))
    with pytest.raises(ValueError, match="distinct object labels, but got 1 twice"):
        ParticleTypes((a, ParticleType("b", 1, 10)))


def test_a_class_index_is_a_place_in_the_types() -> None:
    assert [CZII_TYPES.index(t.name) for t in CZII_TYPES] == list(range(6))
    assert CZII_TYPES[3].name == "ribosome"
    assert len(CZII_TYPES) == 6


def test_columns_follow_the_order_of_the_types() -> None:
    assert CZII_TYPES.radii.tolist() == [60, 65, 90, 150, 130, 135]
    assert CZII_TYPES.weights.tolist() == [1, 0, 2, 1, 2, 1]
    assert CZII_TYPES.names[0] == "apo-ferritin"


def test_no_types_are_legal() -> None:
    none = ParticleTypes(())
    assert len(none) == 0
    assert none.radii.shape == (0,)


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(KeyError, match=r"no particle type 'ribosom'; closest: ribosome"):
        CZII_TYPES.index("ribosom")
    with pytest.raises(KeyError, match=r"'zzz'; known: apo-ferritin, "):
        CZII_TYPES.index("zzz")


def test_classes_that_stand_for_no_type_are_refused() -> None:
    CZII_TYPES.check_classes(np.array([0, 5]))
    CZII_TYPES.check_classes(np.array([], np.int64))
    with pytest.raises(ValueError, match="classes below 6, but got 6"):
        CZII_TYPES.check_classes(np.array([0, 6]))

"""Halves are those that numpy rounds to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.half import rounded_to_half


def check(values: np.ndarray) -> None:
    expected = values.astype(np.float16)
    halves = rounded_to_half(values)
    np.testing.assert_array_equal(halves.view(np.uint16), expected.view(np.uint16))
    np.testing.assert_array_equal(values, expected.astype(np.float32))


def test_every_half_and_what_lies_between_two() -> None:
    halves = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float32)  # 0 to 1
    middle = (halves[1:] + halves[:-1]) / 2  # exact in float32
    around = [np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(1))]
    check(np.concatenate([halves, *around])[None, None])


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_any_number_from_0_to_1(numbers: list[float]) -> None:
    check(np.array(numbers, np.float32)[None, None])


def test_a_part_of_an_array() -> None:
    whole = np.random.default_rng(0).random((2, 5, 6, 7), np.float32)
    before = whole.copy()
    check(whole[1, 1:4, :5, 2:])
    whole[1, 1:4, :5, 2:] = before[1, 1:4, :5, 2:]
    np.testing.assert_array_equal(whole, before)

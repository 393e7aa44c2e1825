"""A tomogram checks its dimensions and spacing."""

import numpy as np
import pytest

from cryo_pick.tomogram import Tomogram


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4), (1, 2, 3, 4)])
def test_other_dimensions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"volume of run 'R' to be \(d, h, w\)"):
        Tomogram(np.zeros(shape), (10, 10, 10), run="R")


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf])
def test_a_spacing_that_is_none_is_refused(spacing: float) -> None:
    with pytest.raises(ValueError, match="voxel spacing of run 'R' to be above 0 Å"):
        Tomogram(np.zeros((2, 2, 2)), (10, spacing, 10), run="R")


def test_the_array_is_float32() -> None:
    tomogram = Tomogram(np.arange(24, dtype=np.int16).reshape(2, 3, 4), (10, 10, 10))
    assert tomogram.shape == (2, 3, 4)
    assert tomogram.array().dtype == np.float32
    assert tomogram.array().sum() == 276

"""What differs from the training data is said: intensities, contrast, type."""

import numpy as np

from cryo_pick.normalize import intensity_statistics
from cryo_pick.pipeline.guards import intensity_summary, warnings_of
from cryo_pick.tomogram import Tomogram

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 1, (24, 48, 48)).astype(np.float32)
DARK = NOISE - 12 * (RNG.random(NOISE.shape) < 0.02)


def said(volume, trained=NOISE, tomo_type="denoised"):
    bundle = intensity_summary([intensity_statistics(trained)])
    tomogram = Tomogram(volume, (10.0, 10.0, 10.0), tomo_type="denoised")
    return warnings_of(tomogram, intensity_statistics(volume), bundle, tomo_type)


def test_the_training_data_itself_is_no_surprise():
    assert said(NOISE) == []
    assert said(5 * NOISE + 100) == []  # it is normalised anyway


def test_intensities_that_reach_further_or_less_far():
    (text,) = said(np.sign(NOISE) * np.abs(NOISE) ** 3)
    assert "times as far" in text
    (text,) = said(np.clip(NOISE, -0.7, 0.7))
    assert "times as far" in text


def test_inverted_contrast_is_said():
    assert said(DARK, DARK) == []
    assert any("contrast looks inverted" in w for w in said(-DARK, DARK))


def test_another_type_is_said():
    (text,) = said(NOISE, tomo_type="wbp")
    assert "'denoised'" in text
    assert "'wbp'" in text

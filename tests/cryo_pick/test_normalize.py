"""Robust statistics of known intensities, and what they refuse."""

import numpy as np
import pytest

import cryo_pick.normalize as normalize_module
from cryo_pick.errors import InputError
from cryo_pick.normalize import (
    CLIP,
    intensity_statistics,
    normalize,
    statistics_by_blocks,
    subsample,
)


def noise(shape: tuple[int, int, int] = (40, 50, 60)) -> np.ndarray:
    return (np.random.default_rng(0).normal(7, 3, shape)).astype(np.float32)


def test_gaussian_noise_has_its_own_mean_and_deviation() -> None:
    statistics = intensity_statistics(noise())
    assert statistics.median == pytest.approx(7, abs=0.05)
    assert statistics.scale == pytest.approx(3, rel=0.02)
    result = normalize(noise(), statistics)
    assert result.dtype == np.float32
    assert result.mean() == pytest.approx(0, abs=0.02)
    assert result.std() == pytest.approx(1, rel=0.02)


def test_a_few_gold_beads_change_next_to_nothing() -> None:
    volume = noise()
    volume[:4, :4, :40] = -5000
    clean, gold = intensity_statistics(noise()), intensity_statistics(volume)
    assert gold.scale == pytest.approx(clean.scale, rel=0.03)
    assert normalize(volume, gold).min() == -CLIP


def test_a_volume_that_is_mostly_padding_still_has_a_scale() -> None:
    volume = np.zeros((40, 40, 40), np.float32)
    volume[:10] = np.random.default_rng(1).normal(0, 2, (10, 40, 40))
    assert 0 < intensity_statistics(volume).scale < 4


def test_a_tile_is_normalised_as_the_whole() -> None:
    volume = noise()
    statistics = intensity_statistics(volume)
    tile = (slice(3, 20), slice(5, 30), slice(7, 9))
    np.testing.assert_array_equal(
        normalize(volume[tile], statistics), normalize(volume, statistics)[tile]
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">f4", "float64"])
def test_any_stored_type_gives_float32(dtype: str) -> None:
    volume = np.arange(4096).reshape(16, 16, 16).astype(dtype)
    assert normalize(volume, intensity_statistics(volume)).dtype == np.float32


def test_the_volume_is_left_alone() -> None:
    volume = noise()
    normalize(volume, intensity_statistics(volume))
    np.testing.assert_array_equal(volume, noise())


def test_the_subsample_is_bounded_and_the_same_each_time() -> None:
    volume = noise((100, 120, 110))
    sample = subsample(volume, 10_000)
    assert 2_000 < sample.size <= 10_000
    np.testing.assert_array_equal(sample, subsample(volume, 10_000))


def test_thin_volumes_are_sampled_in_every_plane() -> None:
    assert subsample(noise((2, 100, 100)), 100).size >= 2 * 8 * 8


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_none_are_counted(bad: float) -> None:
    volume = noise()
    statistics = intensity_statistics(volume)
    volume[2, 3, 4:7] = bad
    with pytest.raises(InputError, match="3 of 120000 sampled voxels are NaN or infinite"):
        intensity_statistics(volume)
    with pytest.raises(InputError, match="3 of 120000 voxels are NaN or infinite"):
        normalize(volume, statistics)


def test_a_constant_volume_is_refused() -> None:
    with pytest.raises(InputError, match="every sampled voxel is 5: the volume is constant"):
        intensity_statistics(np.full((8, 8, 8), 5.0))


@pytest.mark.parametrize("block", [(3, 4, 5), (100, 100, 100), (1, 30, 40), (7, 30, 9)])
@pytest.mark.parametrize("most", [50, 3000, 10**6])
def test_statistics_by_blocks_are_those_of_the_whole(block, most, monkeypatch):
    volume = np.random.default_rng(3).normal(5, 2, (20, 30, 40)).astype(np.float32)
    monkeypatch.setattr(normalize_module, "MAX_SAMPLE", most)
    whole = normalize_module._statistics(subsample(volume, most))
    assert statistics_by_blocks(volume, block) == whole


def test_statistics_by_blocks_see_every_voxel():
    volume = np.random.default_rng(3).normal(5, 2, (20, 30, 40)).astype(np.float32)
    volume[19, 29, 39] = np.nan
    volume[3, 3, 3] = np.inf
    with pytest.raises(InputError, match="2 of 24000 voxels are NaN or infinite"):
        statistics_by_blocks(volume, (8, 8, 8))

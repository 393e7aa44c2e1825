import numpy as np
import pytest

from cryo_pick.simulate.microscope import Microscope
from cryo_pick.simulate.tilt_series import (
    NOISE_LEVEL,
    noise_sigma,
    project,
    ray_matrix,
    record,
    tilt_angles,
)


def test_angles_are_symmetric_and_hold_zero() -> None:
    np.testing.assert_allclose(tilt_angles(45, 3), np.arange(-45, 46, 3))
    np.testing.assert_allclose(tilt_angles(50, 20), (-40, -20, 0, 20, 40))


@pytest.mark.parametrize(("largest", "step"), [(0, 3), (90, 3), (45, 0), (45, -1), (np.nan, 3)])
def test_angles_that_no_stage_has_are_refused(largest: float, step: float) -> None:
    with pytest.raises(ValueError, match="largest tilt between 0 and 90"):
        tilt_angles(largest, step)


def test_the_untilted_projection_is_the_sum_along_z() -> None:
    volume = np.random.default_rng(0).standard_normal((9, 70, 12)).astype(np.float32)
    rays = ray_matrix(9, 12, np.array([0.0]))
    np.testing.assert_allclose(project(volume, rays)[0], volume.sum(axis=0), atol=1e-5)


def test_a_point_moves_over_the_detector_as_geometry_says() -> None:
    angles = tilt_angles(60, 20)
    volume = np.zeros((21, 5, 41), np.float32)
    volume[16, 2, 23] = 1  # 6 above and 3 beside the middle
    series = project(volume, ray_matrix(21, 41, angles))
    assert not series[:, [0, 1, 3, 4]].any()
    columns = (series[:, 2] * np.arange(41)).sum(axis=1)
    radians = np.deg2rad(angles)
    np.testing.assert_allclose(columns, 20 + 3 * np.cos(radians) + 6 * np.sin(radians), atol=1e-4)
    np.testing.assert_allclose(series.sum(axis=(1, 2)), 1, atol=1e-5)


def test_projection_equals_a_slow_loop_over_voxels() -> None:
    rng = np.random.default_rng(1)
    volume = rng.random((4, 3, 7)).astype(np.float32)
    angles = np.array([-50.0, 12.5])
    expected = np.zeros((2, 3, 7))
    for t, angle in enumerate(np.deg2rad(angles)):
        for z in range(4):
            for x in range(7):
                u = (x - 3) * np.cos(angle) + (z - 1.5) * np.sin(angle) + 3
                left = int(np.floor(u))
                for column, share in ((left, 1 - (u - left)), (left + 1, u - left)):
                    if 0 <= column < 7:
                        expected[t, :, column] += share * volume[z, :, x]
    np.testing.assert_allclose(project(volume, ray_matrix(4, 7, angles)), expected, atol=1e-5)


def test_noise_grows_with_tilt_and_falls_with_pixel_size() -> None:
    assert noise_sigma(1.0, 0.0, 10.0) == NOISE_LEVEL
    assert noise_sigma(2.0, 0.0, 20.0) == pytest.approx(NOISE_LEVEL)
    assert noise_sigma(1.0, 60.0, 10.0) == pytest.approx(NOISE_LEVEL * np.sqrt(2))
    angles = np.array([0.0, 60.0])
    empty = np.zeros((2, 200, 200), np.float32)
    images = record(empty, angles, 10.0, 1.0, Microscope(), np.random.default_rng(0))
    deviations = images.std(axis=(1, 2))
    # The standard deviation of 40,000 values is known to 0.4 %.
    np.testing.assert_allclose(deviations, NOISE_LEVEL * np.array([1, np.sqrt(2)]), rtol=0.02)


def test_phase_flipping_leaves_no_frequency_inverted() -> None:
    rng = np.random.default_rng(0)
    point = np.zeros((1, 65, 65), np.float32)
    point[0, 32, 32] = 1
    image = record(point, np.array([0.0]), 10.0, 0.0, Microscope(), rng)[0]
    # A point at the centre whose every frequency is turned dark: a negative transfer everywhere.
    transfer = np.fft.fft2(np.fft.ifftshift(image))
    assert transfer.real.max() < 0.02
    assert np.abs(transfer.imag).max() < 0.05 * np.abs(transfer.real).max()
    assert image.argmin() == 32 * 65 + 32

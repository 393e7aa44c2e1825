import numpy as np
import pytest

from cryo_pick.simulate.particles import built_in_density
from cryo_pick.simulate.reconstruct import (
    back_project,
    denoise,
    ramp_filter,
    reconstruct,
    z_score,
)
from cryo_pick.simulate.scene import add_molecule
from cryo_pick.simulate.tilt_series import project, ray_matrix, tilt_angles

EXACT = 0.05  # voxels, what the truth promises


def offset_between(volume: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Shift of `volume` against `template`: peak of their correlation, interpolated by Fourier."""
    spectrum = np.fft.fftn(volume) * np.conj(np.fft.fftn(template))
    correlation = np.fft.ifftn(spectrum).real
    peak = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    peak = np.where(peak > np.array(correlation.shape) / 2, peak - correlation.shape, peak)
    near = np.arange(-1, 1.001, 0.02)
    for axis, n in enumerate(correlation.shape):
        waves = np.exp(2j * np.pi * np.outer(peak[axis] + near, np.fft.fftfreq(n)))
        spectrum = np.moveaxis(np.tensordot(waves, spectrum, (1, axis)), 0, axis)
    best = np.unravel_index(spectrum.real.argmax(), spectrum.shape)
    return peak + near[np.array(best)]


@pytest.mark.parametrize("name", ["apo-ferritin", "thyroglobulin"])
@pytest.mark.parametrize("index", [(20.0, 24.0, 24.0), (22.4, 19.7, 28.25)])
def test_a_particle_is_reconstructed_where_it_is(
    name: str, index: tuple[float, float, float]
) -> None:
    density = built_in_density(name, 10.0)
    scene, template = (np.zeros((40, 48, 48), np.float32) for _ in range(2))
    add_molecule(scene, density, np.array(index), np.eye(3))
    middle = np.array([20.0, 24.0, 24.0])
    add_molecule(template, density, middle, np.eye(3))
    rays = ray_matrix(40, 48, tilt_angles(45, 3))
    volume = reconstruct(project(scene, rays), rays)
    np.testing.assert_allclose(offset_between(volume, template), index - middle, atol=EXACT)


def test_back_projection_is_the_adjoint_of_projection() -> None:
    rng = np.random.default_rng(0)
    angles = tilt_angles(45, 15)
    volume = rng.standard_normal((10, 70, 14)).astype(np.float32)
    series = rng.standard_normal((len(angles), 70, 14)).astype(np.float32)
    rays = ray_matrix(10, 14, angles)
    left = float((project(volume, rays) * series).sum())
    right = float((volume * back_project(series, rays)).sum()) * len(angles)
    assert left == pytest.approx(right, rel=1e-4)


def test_the_ramp_removes_the_mean_and_keeps_fine_detail() -> None:
    x = np.arange(256)
    coarse, fine = (np.sin(2 * np.pi * f * x / 256) for f in (4, 64))
    series = np.stack([coarse, fine]).astype(np.float32)[:, None, :]
    middle = ramp_filter(series)[:, 0, 64:192]
    gain = middle.std(axis=1) / series[:, 0, 64:192].std(axis=1)
    # 2 f sinc(f), f in cycles per voxel
    np.testing.assert_allclose(
        gain, 2 * np.array([4, 64]) / 256 * np.sinc([4 / 256, 0.25]), rtol=0.05
    )


def test_the_missing_wedge_is_empty_and_the_rest_is_not() -> None:
    rng = np.random.default_rng(0)
    n = 64
    angles = tilt_angles(45, 3)
    series = rng.standard_normal((len(angles), 8, n)).astype(np.float32)
    volume = reconstruct(series, ray_matrix(n, n, angles))
    power = (np.abs(np.fft.fftn(volume)) ** 2).mean(axis=1)
    kz, kx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij")
    radius = np.hypot(kz, kx)
    ring = (radius > 0.1) & (radius < 0.3)
    # A tilt by a sees the plane of kz = kx tan a; beyond 45 degrees nothing does.
    seen = np.abs(kz) < 0.9 * np.abs(kx)
    missing = np.abs(kz) > 1.5 * np.abs(kx)
    assert power[ring & missing].mean() < 0.05 * power[ring & seen].mean()


def test_z_score_and_denoise_have_mean_0_and_deviation_1() -> None:
    rng = np.random.default_rng(0)
    volume = (5 + 3 * rng.standard_normal((24, 24, 24))).astype(np.float32)
    for scaled in (z_score(volume), denoise(volume)):
        assert scaled.dtype == np.float32
        assert float(scaled.mean()) == pytest.approx(0, abs=1e-4)
        assert float(scaled.std()) == pytest.approx(1, abs=1e-4)
    roughness = [
        float(np.abs(np.diff(v, axis=2)).mean()) for v in (z_score(volume), denoise(volume))
    ]
    assert roughness[1] < 0.6 * roughness[0]


def test_a_constant_volume_has_no_z_score() -> None:
    with pytest.raises(ValueError, match="varies"):
        z_score(np.ones((4, 4, 4), np.float32))

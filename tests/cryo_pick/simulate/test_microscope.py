import numpy as np
import pytest

from cryo_pick.simulate.microscope import Microscope, contrast_transfer


@pytest.mark.parametrize(("kv", "wavelength"), [(100, 0.03701), (200, 0.02508), (300, 0.01969)])
def test_wavelength_is_that_of_the_textbook(kv: float, wavelength: float) -> None:
    assert Microscope(voltage_kv=kv).wavelength == pytest.approx(wavelength, abs=1e-5)


def test_particles_are_dark_at_low_frequency() -> None:
    microscope = Microscope()
    transfer = contrast_transfer((64, 64), 10.0, 3.0, microscope)
    assert transfer.shape == (64, 33)
    assert transfer[0, 0] == pytest.approx(-microscope.amplitude_contrast)
    assert (transfer[0, :8] < 0).all()


def test_first_zero_is_where_the_phase_is_half_a_turn() -> None:
    microscope = Microscope(b_factor=0.0, cs_mm=0.0, amplitude_contrast=0.0)
    n, spacing, defocus_um = 4096, 10.0, 4.0
    transfer = contrast_transfer((4, n), spacing, defocus_um, microscope)[0, 1:]
    first = np.flatnonzero(np.diff(np.sign(transfer)))[0] + 1
    # sin(pi lambda dz s^2) has its first zero at s = 1 / sqrt(lambda dz).
    expected = 1 / np.sqrt(microscope.wavelength * defocus_um * 1e4)
    assert first / (n * spacing) == pytest.approx(expected, rel=0.01)


def test_the_envelope_damps_high_frequencies() -> None:
    sharp = contrast_transfer((32, 32), 10.0, 3.0, Microscope(b_factor=0.0))
    damped = contrast_transfer((32, 32), 10.0, 3.0, Microscope(b_factor=400.0))
    s2 = np.fft.fftfreq(32, 10.0)[:, None] ** 2 + np.fft.rfftfreq(32, 10.0) ** 2
    np.testing.assert_allclose(damped, sharp * np.exp(-100 * s2), atol=1e-6)

"""The microscope's optics: electron wavelength and contrast transfer function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryo_pick.simulate.density import Volume


@dataclass(frozen=True)
class Microscope:
    """Optics that all runs share."""

    voltage_kv: float = 300.0
    cs_mm: float = 2.7
    """Spherical aberration."""
    amplitude_contrast: float = 0.08
    """Share of the contrast that is there without defocus."""
    b_factor: float = 400.0
    """Å², of the envelope exp(-b s² / 4)."""
    defocus_um: tuple[float, float] = (2.5, 4.5)
    """Underfocus of a run is drawn from this range."""

    @property
    def wavelength(self) -> float:
        """Electron wavelength in Å, relativistic."""
        volts = self.voltage_kv * 1e3
        return float(12.2643 / np.sqrt(volts + 0.978466e-6 * volts**2))


def contrast_transfer(
    shape: tuple[int, int], voxel_spacing: float, defocus_um: float, microscope: Microscope
) -> Volume:
    """Contrast transfer function with its envelope, on the grid of ``rfft2``.

    Under focus, so that it is negative at low frequencies: particles are dark.

    Returns
    -------
    (ny, nx // 2 + 1) float32 array
    """
    wavelength = microscope.wavelength
    squared = (
        np.fft.fftfreq(shape[0], voxel_spacing)[:, None] ** 2
        + np.fft.rfftfreq(shape[1], voxel_spacing) ** 2
    )
    phase = np.pi * wavelength * defocus_um * 1e4 * squared
    phase -= 0.5 * np.pi * microscope.cs_mm * 1e7 * wavelength**3 * squared**2
    phase += np.arcsin(microscope.amplitude_contrast)
    return np.asarray(-np.sin(phase) * np.exp(-microscope.b_factor / 4 * squared), np.float32)

"""What the microscope records: projections through the ice, fringes and noise.

The specimen is tilted about the y axis. A detector column x at tilt a sees the voxels with
x cos a + z sin a equal to it, counted from the middle of the volume.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

from cryo_pick.simulate.density import Volume
from cryo_pick.simulate.microscope import Microscope, contrast_transfer

Y_BATCH = 64
FFT_PADDING = 32
# Noise of one pixel of 10 Å, in the signal of 10 Å of protein: makes `noise` 1 CZII-like.
NOISE_LEVEL = 3.5
REFERENCE_SPACING = 10.0
DEFOCUS_JITTER_UM = 0.05


def tilt_angles(tilt_max: float, tilt_step: float) -> NDArray[np.float64]:
    """Angles in degrees, symmetric about 0 and at most `tilt_max`.

    Raises
    ------
    ValueError
        If the range isn't above 0 and below 90, or the step isn't above 0.
    """
    if not 0 < tilt_max < 90 or not tilt_step > 0:
        raise ValueError(
            "Expected a largest tilt between 0 and 90 degrees and a step above 0, "
            f"but got {tilt_max} and {tilt_step}."
        )
    n = int(np.floor(tilt_max / tilt_step + 1e-9))
    return np.arange(-n, n + 1, dtype=np.float64) * tilt_step


def ray_matrix(nz: int, nx: int, angles: NDArray[np.float64]) -> sparse.csr_array:
    """Share of every voxel of an x-z plane that falls on every detector column.

    Rows are voxels, so that its product with a tilt series is a back-projection and that of its
    transpose with a plane a projection: exact adjoints, from one matrix.

    Returns
    -------
    (nz * nx, n_tilts * nx) float32 array
        Linear interpolation between the two nearest columns; nothing beyond the detector.
    """
    radians = np.deg2rad(angles)
    z = np.arange(nz)[:, None, None] - (nz - 1) / 2
    x = np.arange(nx)[None, :, None] - (nx - 1) / 2
    column = (x * np.cos(radians) + z * np.sin(radians) + (nx - 1) / 2).astype(np.float32)
    left = np.floor(column).astype(np.int32)
    right_share = column - left
    indices = np.stack([left, left + 1], axis=-1)
    shares = np.stack([1 - right_share, right_share], axis=-1)
    shares[(indices < 0) | (indices >= nx)] = 0
    np.clip(indices, 0, nx - 1, out=indices)
    indices += (np.arange(len(angles), dtype=np.int32) * nx)[:, None]
    starts = np.arange(nz * nx + 1, dtype=np.int32) * np.int32(2 * len(angles))
    return sparse.csr_array(
        (shares.ravel(), indices.ravel(), starts), shape=(nz * nx, len(angles) * nx)
    )


def project(volume: Volume, rays: sparse.csr_array) -> Volume:
    """Tilt series of a volume, as line sums.

    Parameters
    ----------
    volume : (d, h, w) float32 array, zyx
    rays
        From :func:`ray_matrix` of that depth and width.

    Returns
    -------
    (n_tilts, h, w) float32 array
    """
    nz, ny, nx = volume.shape
    n_tilts = rays.shape[1] // nx
    projector = rays.T
    series = np.empty((n_tilts, ny, nx), np.float32)
    for y in range(0, ny, Y_BATCH):
        part = volume[:, y : y + Y_BATCH]
        columns = np.ascontiguousarray(part.transpose(0, 2, 1)).reshape(nz * nx, -1)
        lines = (projector @ columns).reshape(n_tilts, nx, -1)
        series[:, y : y + Y_BATCH] = lines.transpose(0, 2, 1)
    return series


def padded_shape(ny: int, nx: int) -> tuple[int, int]:
    """Shape of the Fourier transform of an image, so that fringes do not wrap around."""
    return fft.next_fast_len(ny + FFT_PADDING, True), fft.next_fast_len(nx + FFT_PADDING, True)


def noise_sigma(noise: float, angle: float, voxel_spacing: float) -> float:
    """Standard deviation of the noise of one pixel, in the signal of 10 Å of protein.

    It grows with tilt as the ice along the beam gets thicker, and falls with the dose that a
    larger pixel collects.
    """
    dose = REFERENCE_SPACING / voxel_spacing
    return float(noise * NOISE_LEVEL * dose / np.sqrt(np.cos(np.deg2rad(angle))))


def record(
    projections: Volume,
    angles: NDArray[np.float64],
    voxel_spacing: float,
    noise: float,
    microscope: Microscope,
    rng: np.random.Generator,
) -> Volume:
    """Images of a tilt series, corrected for the sign of the contrast transfer function.

    Parameters
    ----------
    projections : (n_tilts, h, w) float32 array
        Line sums in voxels.
    noise
        1 is CZII-like, 0 none.

    Returns
    -------
    (n_tilts, h, w) float32 array
        Particles dark, as recorded.
    """
    shape = padded_shape(*projections.shape[1:])
    ny, nx = projections.shape[1:]
    defocus_um = rng.uniform(*microscope.defocus_um)
    images = np.empty_like(projections)
    for i, angle in enumerate(angles):
        jitter = rng.normal(0, DEFOCUS_JITTER_UM)
        transfer = contrast_transfer(shape, voxel_spacing, defocus_um + jitter, microscope)
        signal = fft.rfft2(projections[i] * np.float32(voxel_spacing / REFERENCE_SPACING), s=shape)
        sigma = np.float32(noise_sigma(noise, float(angle), voxel_spacing))
        grain = rng.standard_normal(shape, np.float32) * sigma
        spectrum = signal * transfer + fft.rfft2(grain)
        # Phase flip: every frequency gets the sign that it has near zero, which is minus.
        flipped = fft.irfft2(spectrum * -np.sign(transfer), s=shape)
        images[i] = flipped[:ny, :nx]
    return images

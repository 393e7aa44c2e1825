"""From a tilt series to a tomogram: weighted back-projection, denoising and scaling.

The missing wedge is not drawn: it is what no tilt has seen.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage, sparse

from cryo_pick.simulate.density import Volume
from cryo_pick.simulate.tilt_series import Y_BATCH

DENOISE_SIGMA_VOXELS = 1.2


def ramp_filter(series: Volume) -> Volume:
    """Weight each line across the tilt axis by its frequency (Shepp and Logan's ramp).

    Parameters
    ----------
    series : (n_tilts, h, w) float32 array

    Returns
    -------
    (n_tilts, h, w) float32 array
    """
    nx = series.shape[2]
    n = fft.next_fast_len(2 * nx, True)
    frequency = np.fft.rfftfreq(n)
    ramp = (2 * frequency * np.sinc(frequency)).astype(np.float32)
    filtered = np.empty_like(series)
    for image, result in zip(series, filtered, strict=True):
        result[:] = fft.irfft(fft.rfft(image, n=n, axis=1) * ramp, n=n, axis=1)[:, :nx]
    return filtered


def back_project(series: Volume, rays: sparse.csr_array) -> Volume:
    """Smear a tilt series back along its rays; the mean over tilts.

    Parameters
    ----------
    series : (n_tilts, h, w) float32 array
    rays
        From :func:`cryo_pick.simulate.tilt_series.ray_matrix`.

    Returns
    -------
    (d, h, w) float32 array, zyx
    """
    n_tilts, ny, nx = series.shape
    nz = rays.shape[0] // nx
    volume = np.empty((nz, ny, nx), np.float32)
    for y in range(0, ny, Y_BATCH):
        part = series[:, y : y + Y_BATCH]
        lines = np.ascontiguousarray(part.transpose(0, 2, 1)).reshape(n_tilts * nx, -1)
        columns = (rays @ lines).reshape(nz, nx, -1)
        volume[:, y : y + Y_BATCH] = columns.transpose(0, 2, 1)
    volume /= n_tilts
    return volume


def reconstruct(series: Volume, rays: sparse.csr_array) -> Volume:
    """Weighted back-projection: (n_tilts, h, w) images to a (d, h, w) volume."""
    return back_project(ramp_filter(series), rays)


def z_score(volume: Volume) -> Volume:
    """Volume with mean 0 and standard deviation 1.

    Raises
    ------
    ValueError
        If it is constant.
    """
    deviation = float(volume.std())
    if not deviation > 0:
        raise ValueError("Expected a volume that varies, but got a constant one.")
    return np.asarray((volume - volume.mean()) / np.float32(deviation), np.float32)


def denoise(volume: Volume) -> Volume:
    """Gaussian filter of 1.2 voxels, scaled again: a stand-in for a denoising network."""
    return z_score(ndimage.gaussian_filter(volume, DENOISE_SIGMA_VOXELS))

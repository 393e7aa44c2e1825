"""Picks to what the detector learns to draw, one function per kind of target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryo_pick.objects import ParticleTypes
from detector.settings import TargetSettings

Shape = tuple[int, int, int]
Draw = Callable[
    [Shape, NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], int], NDArray[np.float32]
]
"""(shape in cells, (n, 3) centres in cells, (n,) classes, (k, 3) widths in cells, k) to target."""

POINT_COLUMNS = 7
"""Of a points target: centre z, y, x, class, radius z, y, x; in cells."""


def target_sigmas(radii: NDArray[np.float64], settings: TargetSettings) -> NDArray[np.float64]:
    """Width of the Gaussian of each class.

    Parameters
    ----------
    radii : (k,) array, Å
    settings
        A fixed sigma, or a share of the radius between two limits.

    Returns
    -------
    (k,) array, Å
    """
    if settings.sigma is not None:
        return np.full(len(radii), settings.sigma)
    return np.clip(settings.sigma_per_radius * radii, settings.sigma_min, settings.sigma_max)


def target_types(types: ParticleTypes, settings: TargetSettings) -> ParticleTypes:
    """The classes with the radii that targets are drawn with."""
    return ParticleTypes(
        tuple(replace(t, radius=settings.radii.get(t.name, t.radius)) for t in types)
    )


def target_widths(types: ParticleTypes, settings: TargetSettings) -> NDArray[np.float64]:
    """How far each class is drawn along each axis: what the kind of target calls its width.

    Parameters
    ----------
    types, settings

    Returns
    -------
    (k, 3) array, Å, zyx
        Sigma of a Gaussian; radius of a sphere or a point; of slices half their height along z and
        sigma in the plane; 0 of a single cell.
    """
    radii = target_types(types, settings).radii
    sigmas = target_sigmas(radii, settings)
    along = {
        "gaussian": sigmas,
        "sphere": settings.radius_share * radii,
        "voxel": np.zeros(len(radii)),
        "points": radii,
        "slices": sigmas,
    }[settings.kind]
    widths = np.repeat(along[:, None], 3, 1)
    if settings.kind == "slices":
        widths[:, 0] = settings.radius_share * radii
    return widths


def gaussian_target(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    sigmas: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """Heatmap with a Gaussian of peak 1 at every centre; where two overlap, the larger value.

    Parameters
    ----------
    shape : (d, h, w), cells of the heatmap
    centres : (n, 3) array, fractional cells, zyx
        May lie outside; what reaches in is drawn.
    classes : (n,) int array
    sigmas : (k, 3) array, cells, per class and axis
    n_classes

    Returns
    -------
    (k, d, h, w) float32 array in [0, 1]
    """
    heatmap = np.zeros((n_classes, *shape), np.float32)
    # 4 sigma reaches down to 0.0003, where the Gaussian no longer matters to the loss.
    for label, box, away in _boxes(shape, centres, classes, 4 * sigmas):
        z, y, x = (
            np.exp(-0.5 * (distance / width) ** 2).astype(np.float32)
            for distance, width in zip(away, sigmas[label], strict=True)
        )
        part = heatmap[(label, *box)]
        np.maximum(part, z[:, None, None] * y[None, :, None] * x[None, None, :], out=part)
    return heatmap


def sphere_target(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    radii: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """One inside the sphere of every particle, at least in its own cell; no cell has two classes.

    Where spheres meet, a cell belongs to the one in which it lies deeper, as a share of the radius.
    The arguments are those of :func:`gaussian_target`, with radii in cells.

    Returns
    -------
    (k, d, h, w) float32 array of 0 and 1
    """
    depth = np.full(shape, np.inf, np.float32)
    owner = np.full(shape, -1, np.int64)
    radii = np.maximum(radii, 0.5)
    for label, box, (z, y, x) in _boxes(shape, centres, classes, np.maximum(radii, 1.0)):
        rz, ry, rx = radii[label]
        far = (
            ((z / rz) ** 2)[:, None, None]
            + ((y / ry) ** 2)[None, :, None]
            + ((x / rx) ** 2)[None, None, :]
        )
        own = (abs(z) <= 0.5)[:, None, None] & (abs(y) <= 0.5)[:, None] & (abs(x) <= 0.5)
        nearer = ((far <= 1) | own) & (far < depth[box])
        depth[box][nearer] = far[nearer]
        owner[box][nearer] = label
    return (owner[None] == np.arange(n_classes)[:, None, None, None]).astype(np.float32)


def voxel_target(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    widths: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """One in the cell that holds a particle's centre; the widths don't matter.

    The arguments are those of :func:`gaussian_target`.

    Returns
    -------
    (k, d, h, w) float32 array of 0 and 1
    """
    heatmap = np.zeros((n_classes, *shape), np.float32)
    cells = np.floor(np.asarray(centres, np.float64).reshape(-1, 3) + 0.5).astype(int)
    inside = ((cells >= 0) & (cells < np.array(shape))).all(1)
    heatmap[(classes[inside], *cells[inside].T)] = 1
    return heatmap


def slices_target(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    widths: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """A 2D Gaussian of peak 1 on every slice that a particle reaches.

    The arguments are those of :func:`gaussian_target`; a class's width is half the height of its
    slices along z, and sigma along y and x.

    Returns
    -------
    (k, d, h, w) float32 array in [0, 1]
    """
    heatmap = np.zeros((n_classes, *shape), np.float32)
    reach = np.concatenate([np.maximum(widths[:, :1], 0.5), 4 * widths[:, 1:]], 1)
    for label, box, away in _boxes(shape, centres, classes, reach):
        y, x = (
            np.exp(-0.5 * (distance / width) ** 2).astype(np.float32)
            for distance, width in zip(away[1:], widths[label, 1:], strict=True)
        )
        part = heatmap[(label, *box)]
        np.maximum(part, y[None, :, None] * x[None, None, :], out=part)
    return heatmap


def points_target(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    radii: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float32]:
    """The particles whose centre lies in the volume, as rows.

    The arguments are those of :func:`gaussian_target`, with radii in cells.

    Returns
    -------
    (m, 7) float32 array
        Centre z, y, x, class, radius z, y, x; in cells.
    """
    inside = ((centres >= -0.5) & (centres < np.array(shape) - 0.5)).all(1)
    kept = classes[inside]
    return np.concatenate([centres[inside], kept[:, None], radii[kept]], 1).astype(np.float32)


DRAW: dict[str, Draw] = {
    "gaussian": gaussian_target,
    "sphere": sphere_target,
    "voxel": voxel_target,
    "points": points_target,
    "slices": slices_target,
}
"""By `target.kind`."""


def _boxes(
    shape: Shape,
    centres: NDArray[np.float64],
    classes: NDArray[np.int64],
    reach: NDArray[np.float64],
) -> Iterator[tuple[int, tuple[slice, slice, slice], tuple[NDArray[np.float64], ...]]]:
    """Class, box within reach and distances from the centre along each axis, of each particle."""
    for centre, label in zip(centres, classes, strict=True):
        low = np.maximum(np.ceil(centre - reach[label]).astype(int), 0)
        high = np.minimum(np.floor(centre + reach[label]).astype(int) + 1, shape)
        if (high <= low).any():
            continue
        z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        distances = tuple(np.arange(a, b) - c for a, b, c in zip(low, high, centre, strict=True))
        yield int(label), (z, y, x), distances

"""Training crops: where they lie, what they hold, what the network should draw there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from cryo_pick.augment import (
    GridSymmetry,
    draw_affine,
    mix_batch,
    paste_ball,
    vary_intensity,
    widen_wedge,
)
from cryo_pick.settings import AugmentSettings
from detector.heatmap import voxel_to_heatmap_index
from detector.targets import DRAW, POINT_COLUMNS

MEASURED_TILT = 60.0
"""Degrees; where the tilts of cryo-ET end, and a wider missing wedge begins."""


@dataclass(frozen=True)
class TrainingRun:
    """One run to draw crops from.

    Attributes
    ----------
    volume : (d, h, w) float32 array, normalised
    centres : (n, 3) float64 array, fractional voxel indices, zyx
    classes : (n,) int64 array
    sigmas : (k, 3) float64 array, voxels
        Width of the target of each class, see :func:`detector.targets.target_widths`.
    name
        The run, for messages.
    reviewed : (n, 3) float64 array, fractional voxel indices, zyx
        Places that a person judged, particles or not.
    radii : (k,) float64 array, voxels, or None
        Of the particles; needed where some are to be pasted.
    annotated : (k,) bool array, or None
        Classes whose particles are all known here; None: all classes.
    """

    volume: NDArray[np.float32]
    centres: NDArray[np.float64]
    classes: NDArray[np.int64]
    sigmas: NDArray[np.float64]
    name: str = ""
    reviewed: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    radii: NDArray[np.float64] | None = None
    annotated: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Place:
    """Where a crop starts in which run; may reach over the border."""

    run: int
    start: tuple[int, int, int]


class CropSampler:
    """Draws crops balanced over classes; a step's crops depend on the seed and the step alone.

    That makes a resumed training see exactly the crops that an unbroken one would have seen.

    Parameters
    ----------
    runs
    n_classes
    crop : (d, h, w), voxels
        Multiples of `stride`.
    stride
        Voxels per heatmap cell.
    centred
        Share of crops that hold a particle of a class drawn evenly among those present. Places that
        a person judged count as one more class.
    augment
        Where h is not w, only half turns are drawn.
    seed
    kind
        Of the target, a key of :data:`detector.targets.DRAW`.

    Raises
    ------
    ValueError
        If there is no run, or the stride doesn't divide the crop.
    """

    def __init__(
        self,
        runs: Sequence[TrainingRun],
        n_classes: int,
        crop: tuple[int, int, int],
        stride: int,
        centred: float,
        augment: AugmentSettings,
        seed: int,
        kind: str = "gaussian",
    ) -> None:
        if not runs:
            raise ValueError("Expected argument `runs` to hold at least one run, but got none.")
        if any(n % stride for n in crop):
            raise ValueError(f"Expected `crop` in multiples of {stride} voxels, but got {crop}.")
        self.runs, self.n_classes, self.crop, self.stride = list(runs), n_classes, crop, stride
        self.centred, self.augment, self.seed = centred, augment, seed
        self._draw = DRAW[kind]
        self._moves = bool(augment.rotate_z or augment.rotate_xy or augment.zoom)
        self._partly = any(r.annotated is not None and not r.annotated.all() for r in runs)
        self._members = [
            np.array(
                [(r, i) for r, run in enumerate(runs) for i in np.flatnonzero(run.classes == c)]
            )
            for c in range(n_classes)
        ]
        judged = [(r, i) for r, run in enumerate(runs) for i in range(len(run.reviewed))]
        self._members.append(np.array(judged))
        self._present = [c for c, members in enumerate(self._members) if len(members)]
        self._voxels = np.array([run.volume.size for run in runs], float)

    def batch(self, step: int, size: int, rank: int = 0) -> dict[str, NDArray[np.float32]]:
        """The `size` crops of one step that fall to one of several devices.

        All devices together draw what one would draw for a batch as large as theirs together.

        Returns
        -------
        dict
            ``image`` (b, 1, d, h, w) and ``target`` (b, k, d/s, h/s, w/s), or (b, m, 7) with rows
            of -1 at the end where targets are points. Where a run lacks a class,
            ``annotated`` (b, k): 1 for those it has. See also :func:`cryo_pick.augment.mix_batch`.
        """
        samples = [self._sample(rng) for rng in self._generators(step, size, rank)]
        batch = {
            "image": np.stack([image for image, _, _ in samples]),
            "target": _stacked([target for _, target, _ in samples]),
        }
        if self._partly:
            batch["annotated"] = np.stack([known for _, _, known in samples])
        return mix_batch(batch, self.augment, np.random.default_rng([self.seed, step, rank, 1]))

    def one_crop(self, step: int, size: int, rank: int = 0) -> dict[str, NDArray[np.float32]]:
        """The same crop at every step, for a check that a network can learn it."""
        return self.batch(0, 1)

    def describe(self, step: int, size: int, rank: int = 0) -> list[str]:
        """Where each crop of a batch lies."""
        places = [self._draw_place(rng) for rng in self._generators(step, size, rank)]
        return [f"run {self.runs[p.run].name!r}, crop at voxel {p.start} (z, y, x)" for p in places]

    def _generators(self, step: int, size: int, rank: int) -> list[np.random.Generator]:
        """A random generator of its own for each sample of a step."""
        first = rank * size
        return [np.random.default_rng([self.seed, step, first + i]) for i in range(size)]

    def _sample(
        self, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        place = self._draw_place(rng)
        run = self.runs[place.run]
        matrix = draw_affine(self.augment, rng) if self._moves else None
        image = moved_crop(run.volume, place.start, self.crop, matrix)
        points, classes = moved_points(run.centres, place.start, self.crop, matrix), run.classes
        if self.augment.wedge:
            cut = rng.uniform(0, self.augment.wedge)
            image = widen_wedge(image, MEASURED_TILT - cut)
        if self.augment.paste and rng.random() < self.augment.paste:
            image, points, classes = self._paste(image, points, classes, rng)
        symmetry = GridSymmetry.draw(self.augment, rng, square=self.crop[1] == self.crop[2])
        points = symmetry.points(points, self.crop)
        image = vary_intensity(np.ascontiguousarray(symmetry.volume(image)), self.augment, rng)
        s = self.stride
        d, h, w = (n // s for n in self.crop)
        widths = np.abs(symmetry.vectors(run.sigmas))  # an anisotropic spacing turns with it
        near = _reaching(points, widths[classes], self.crop)
        target = self._draw(
            (d, h, w),
            voxel_to_heatmap_index(points[near], s),
            classes[near],
            widths / s,
            self.n_classes,
        )
        known = np.ones(self.n_classes) if run.annotated is None else run.annotated
        return image[None], target, known.astype(np.float32)

    def _paste(
        self,
        image: NDArray[np.float32],
        points: NDArray[np.float64],
        classes: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.int64]]:
        """One particle of any run and class into free space; nothing where there is none."""
        classes_present = [c for c in self._present if c < self.n_classes]
        if not classes_present:
            return image, points, classes
        label = classes_present[rng.integers(len(classes_present))]
        r, i = self._members[label][rng.integers(len(self._members[label]))]
        source = self.runs[r]
        if source.radii is None:
            raise ValueError("Expected `radii` of a run that particles are pasted from.")
        reach = int(np.ceil(source.radii[label]))
        centre = rng.integers(0, self.crop)
        # A ball that touches none of any class, the largest of which may be as large as it gets.
        apart = reach + source.radii.max()
        if len(points) and np.linalg.norm(points - centre, axis=1).min() < apart:
            return image, points, classes
        nearest = np.rint(source.centres[i]).astype(int)
        patch = padded_crop(source.volume, (nearest - reach).tolist(), (2 * reach + 1,) * 3)
        z, y, x = centre.tolist()
        where = centre + source.centres[i] - nearest
        return (
            paste_ball(image, patch, (z, y, x)),
            np.concatenate([points, where[None]]),
            np.append(classes, label),
        )

    def _draw_place(self, rng: np.random.Generator) -> Place:
        """Around a particle, or anywhere inside; a volume smaller than the crop lies inside it."""
        crop = np.array(self.crop)
        if self._present and rng.random() < self.centred:
            group = self._present[rng.integers(len(self._present))]
            r, i = self._members[group][rng.integers(len(self._members[group]))]
            run = self.runs[r]
            centre = run.centres[i] if group < self.n_classes else run.reviewed[i]
            # Anywhere in the crop but its outer eighth, so that the particle is seen whole.
            wanted = centre - rng.uniform(0.125, 0.875, 3) * crop
            limit = np.array(run.volume.shape) - crop
            # Over the border by an eighth at most: only there is padding seen.
            low, high = np.minimum(limit, 0) - crop // 8, np.maximum(limit, 0) + crop // 8
            start = np.clip(np.round(wanted), low, high)
        else:
            r = rng.choice(len(self.runs), p=self._voxels / self._voxels.sum())
            limit = np.array(self.runs[r].volume.shape) - crop
            start = rng.integers(np.minimum(limit, 0), np.maximum(limit, 0), endpoint=True)
        z, y, x = start.astype(int).tolist()
        return Place(int(r), (z, y, x))


def padded_crop(
    volume: NDArray[np.float32], start: Sequence[int], size: Sequence[int]
) -> NDArray[np.float32]:
    """A box of a volume, with the median of a normalised tomogram, 0, beyond its border.

    Parameters
    ----------
    volume : (d, h, w) array
    start, size : 3 ints, voxels, zyx
        The start may be negative.

    Returns
    -------
    float32 array of shape `size`
    """
    out = np.zeros(tuple(size), np.float32)
    source, target = [], []
    for axis in range(3):
        low, high = max(start[axis], 0), min(start[axis] + size[axis], volume.shape[axis])
        if high <= low:
            return out
        source.append(slice(low, high))
        target.append(slice(low - start[axis], high - start[axis]))
    out[tuple(target)] = volume[tuple(source)]
    return out


def moved_crop(
    volume: NDArray[np.float32],
    start: Sequence[int],
    size: Sequence[int],
    matrix: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """A box of a volume, turned and zoomed about its centre; 0 beyond the volume's border.

    Parameters
    ----------
    volume : (d, h, w) array
    start, size : 3 ints, voxels, zyx
    matrix : (3, 3) array, or None
        From the crop's voxels to the volume's, about the centre.

    Returns
    -------
    float32 array of shape `size`
    """
    if matrix is None:
        return padded_crop(volume, start, size)
    middle = (np.array(size) - 1) / 2
    reach = np.abs(matrix) @ middle  # of the turned box along each axis
    low = np.floor(middle - reach).astype(int) - 1
    edges = np.ceil(middle + reach).astype(int) + 2 - low
    box = padded_crop(volume, (low + start).tolist(), edges.tolist())
    offset = middle - low - matrix @ middle
    moved = affine_transform(box, matrix, offset, tuple(size), order=1)
    return np.asarray(moved, np.float32)


def moved_points(
    centres: NDArray[np.float64],
    start: Sequence[int],
    size: Sequence[int],
    matrix: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Where points of a volume lie in the crop that :func:`moved_crop` makes.

    Parameters
    ----------
    centres : (n, 3) array, voxels of the volume, zyx
    start, size, matrix
        As there.

    Returns
    -------
    (n, 3) array, voxels of the crop, zyx
    """
    points = centres - np.array(start)
    if matrix is None:
        return points
    middle = (np.array(size) - 1) / 2
    return (points - middle) @ np.linalg.inv(matrix).T + middle


def _stacked(targets: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Targets of one batch; rows of points are filled up with -1 to the longest."""
    if targets[0].ndim > 2:
        return np.stack(targets)
    rows = max(1, max(len(t) for t in targets))
    out = np.full((len(targets), rows, POINT_COLUMNS), -1, np.float32)
    for row, target in zip(out, targets, strict=True):
        row[: len(target)] = target
    return out


def _reaching(
    points: NDArray[np.float64], widths: NDArray[np.float64], crop: Sequence[int]
) -> NDArray[np.bool_]:
    """Which particles draw into the crop."""
    reach = 4 * widths.reshape(-1, 3) + 1
    return np.asarray(((points > -reach) & (points < np.array(crop) + reach)).all(1))

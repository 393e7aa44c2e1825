"""Training crops: where they lie, what they hold, what the network should draw there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryo_pick.augment import GridSymmetry, vary_intensity
from cryo_pick.settings import AugmentSettings
from detector.heatmap import voxel_to_heatmap_index
from detector.targets import gaussian_target


@dataclass(frozen=True)
class TrainingRun:
    """One run to draw crops from.

    Attributes
    ----------
    volume : (d, h, w) float32 array, normalised
    centres : (n, 3) float64 array, fractional voxel indices, zyx
    classes : (n,) int64 array
    sigmas : (k, 3) float64 array, voxels
        Width of the target of each class.
    name
        The run, for messages.
    reviewed : (n, 3) float64 array, fractional voxel indices, zyx
        Places that a person judged, particles or not.
    """

    volume: NDArray[np.float32]
    centres: NDArray[np.float64]
    classes: NDArray[np.int64]
    sigmas: NDArray[np.float64]
    name: str = ""
    reviewed: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))


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
    ) -> None:
        if not runs:
            raise ValueError("Expected argument `runs` to hold at least one run, but got none.")
        if any(n % stride for n in crop):
            raise ValueError(f"Expected `crop` in multiples of {stride} voxels, but got {crop}.")
        self.runs, self.n_classes, self.crop, self.stride = list(runs), n_classes, crop, stride
        self.centred, self.augment, self.seed = centred, augment, seed
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
            ``image`` (b, 1, d, h, w) and ``target`` (b, k, d/s, h/s, w/s).
        """
        samples = [self._sample(rng) for rng in self._generators(step, size, rank)]
        return {
            "image": np.stack([image for image, _ in samples]),
            "target": np.stack([target for _, target in samples]),
        }

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

    def _sample(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        place = self._draw_place(rng)
        run = self.runs[place.run]
        image = padded_crop(run.volume, place.start, self.crop)
        near = _reaching(run, place.start, self.crop)
        symmetry = GridSymmetry.draw(self.augment, rng, square=self.crop[1] == self.crop[2])
        points = symmetry.points(run.centres[near] - np.array(place.start), self.crop)
        image = vary_intensity(np.ascontiguousarray(symmetry.volume(image)), self.augment, rng)
        s = self.stride
        d, h, w = (n // s for n in self.crop)
        sigmas = symmetry.vectors(run.sigmas)  # an anisotropic spacing turns with the volume
        target = gaussian_target(
            (d, h, w),
            voxel_to_heatmap_index(points, s),
            run.classes[near],
            np.abs(sigmas) / s,
            self.n_classes,
        )
        return image[None], target

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


def _reaching(run: TrainingRun, start: Sequence[int], crop: Sequence[int]) -> NDArray[np.bool_]:
    """Which particles draw into the crop."""
    reach = 4 * run.sigmas[run.classes] if len(run.classes) else np.empty((0, 3))
    low, high = np.array(start) - reach, np.array(start) + np.array(crop) + reach
    return np.asarray(((run.centres > low) & (run.centres < high)).all(1))

"""Training patches of the refiner: candidates as they come, and jittered true positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryo_pick.augment import GridSymmetry, vary_intensity
from cryo_pick.coordinates import Vector, angstrom_to_index, index_to_angstrom
from cryo_pick.picks import Picks
from cryo_pick.settings import AugmentSettings
from detector.candidates import scores_around
from detector.heatmap import voxel_to_heatmap_index
from refiner.labels import label_places
from refiner.patches import cut_patches, patch_starts
from refiner.settings import RefinerSettings


@dataclass(frozen=True)
class RefinerRun:
    """One run to draw patches from.

    Attributes
    ----------
    volume : (d, h, w) float32 array, normalised
    heatmap : (k, d/s, h/s, w/s) array
        Of a detector that never saw this run.
    stride
        Voxels per heatmap cell.
    places : (n, 3) float64 array, Å, zyx
        Candidates.
    stage1 : (n, k) float32 array
        Their scores.
    truth
    voxel_spacing, origin : Å, zyx
    name
        The run, for messages.
    reviewed : (n, 3) float64 array, Å, zyx
        Places that a person judged; `truth` says what they are.
    stage1_reach
        Å around a place in which its stage-1 scores are looked up; half of the merge distance, as
        for a candidate.
    """

    volume: NDArray[np.float32]
    heatmap: NDArray[np.floating]
    stride: int
    places: NDArray[np.float64]
    stage1: NDArray[np.float32]
    truth: Picks
    voxel_spacing: Vector
    origin: Vector = (0.0, 0.0, 0.0)
    name: str = ""
    reviewed: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    stage1_reach: float = 20.0


def stage1_at(run: RefinerRun, places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores (n, k) that candidates at places (n, 3) in Å would have: the heatmap's maxima around.

    A true position has to look to the network as a candidate does, so its scores are made as those
    of a candidate are (see :func:`detector.candidates.heatmap_candidates`).
    """
    index = angstrom_to_index(places, run.voxel_spacing, run.origin)
    cells = voxel_to_heatmap_index(index, run.stride)
    cell = np.array(run.voxel_spacing) * run.stride
    return scores_around(run.heatmap, cells, cell, run.stage1_reach)


class PatchSampler:
    """Draws labelled patches; a step's patches depend on the seed and the step alone.

    Parameters
    ----------
    runs
    radii : (k,) array, Å
    settings
    augment
    seed
    """

    def __init__(
        self,
        runs: Sequence[RefinerRun],
        radii: NDArray[np.float64],
        settings: RefinerSettings,
        augment: AugmentSettings,
        seed: int,
    ) -> None:
        if not any(len(run.places) for run in runs):
            raise ValueError(
                "Expected argument `runs` to hold at least one candidate, but got none."
            )
        self.runs, self.radii, self.settings = list(runs), radii, settings
        self.augment, self.seed = augment, seed
        self._labels = [label_places(r.places, r.truth, radii, settings.reach) for r in runs]
        self._candidates = np.array(
            [(r, i) for r, run in enumerate(runs) for i in range(len(run.places))]
        )
        self._truth = [
            np.array(
                [
                    (r, i)
                    for r, run in enumerate(runs)
                    for i in np.flatnonzero(run.truth.classes == c)
                ]
            )
            for c in range(len(radii))
        ]
        self._present = [c for c, members in enumerate(self._truth) if len(members)]
        self._reviewed = [(r, i) for r, run in enumerate(runs) for i in range(len(run.reviewed))]

    @property
    def class_weights(self) -> NDArray[np.float64]:
        """(k + 1,) weights of classes and none, by the root of their rarity; mean 1 over samples.

        The root, since the full ratio would let the rarest class rule the training.
        """
        labels = np.concatenate([label.classes for label in self._labels])
        k, share = len(self.radii), self.settings.truth_share
        frequency = (1 - share) * np.bincount(labels, minlength=k + 1) / len(labels)
        frequency[self._present] += share / max(len(self._present), 1)
        weights = 1 / np.sqrt(np.maximum(frequency, 1e-3))
        return np.asarray(weights / (weights * frequency).sum())

    def batch(self, step: int, size: int, rank: int = 0) -> dict[str, NDArray[np.generic]]:
        """The patches of one step that fall to one of several devices.

        All devices together draw what one would draw for a batch as large as theirs together.

        Returns
        -------
        dict
            ``patch`` (b, 1, p, p, p), ``heatmap`` (b, k, p/s, p/s, p/s), ``stage1`` (b, k),
            ``label`` (b,) with k for none, ``offset`` (b, 3) in Å, zyx.
        """
        samples = [self._sample(rng) for rng in self._generators(step, size, rank)]
        return {name: np.stack([s[name] for s in samples]) for name in samples[0]}

    def describe(self, step: int, size: int, rank: int = 0) -> list[str]:
        """Around what each patch of a batch lies."""
        named = []
        for rng in self._generators(step, size, rank):
            drawn = self._draw(rng)
            place = np.round(drawn.place, 1).tolist()
            named.append(f"run {drawn.run.name!r}, around {place} Å (z, y, x)")
        return named

    def _generators(self, step: int, size: int, rank: int) -> list[np.random.Generator]:
        """A random generator of its own for each sample of a step."""
        first = rank * size
        return [np.random.default_rng([self.seed, step, first + i]) for i in range(size)]

    def _sample(self, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        drawn = self._draw(rng)
        run, p, s = drawn.run, self.settings.patch, drawn.run.stride
        shift = rng.uniform(-1, 1, 3) * self.settings.jitter
        centre = angstrom_to_index(drawn.place + shift, run.voxel_spacing, run.origin)
        start = patch_starts(centre[None], p, s)
        middle = index_to_angstrom(start[0] + (p - 1) / 2, run.voxel_spacing, run.origin)
        symmetry = GridSymmetry.draw(self.augment, rng)
        patch = symmetry.volume(cut_patches(run.volume, start, p)[0])
        heatmap = symmetry.volume(cut_patches(run.heatmap, start // s, p // s)[0])
        return {
            "patch": vary_intensity(patch, self.augment, rng)[None],
            "heatmap": heatmap,
            "stage1": drawn.stage1,
            "label": np.asarray(drawn.label),
            # From the patch's middle, as at inference.
            "offset": symmetry.vectors(drawn.target - middle).astype(np.float32),
        }

    def _draw(self, rng: np.random.Generator) -> _Place:
        if self._reviewed and rng.random() < self.settings.review_share:
            r, i = self._reviewed[rng.integers(len(self._reviewed))]
            return self._labelled(self.runs[r], self.runs[r].reviewed[i])
        if self._present and rng.random() < self.settings.truth_share:
            members = self._truth[self._present[rng.integers(len(self._present))]]
            r, i = members[rng.integers(len(members))]
            run = self.runs[r]
            radius = self.radii[run.truth.classes[i]]
            # Where a candidate of it would lie: within a fifth of the radius, mostly.
            place = run.truth.positions[i] + rng.normal(0, 0.1 * radius, 3)
            return self._labelled(run, place)
        r, i = self._candidates[rng.integers(len(self._candidates))]
        run, label = self.runs[r], self._labels[r]
        return _Place(run, run.places[i], run.stage1[i], label.classes[i], label.targets[i])

    def _labelled(self, run: RefinerRun, place: NDArray[np.float64]) -> _Place:
        """A place that is no candidate, with what its scores and its label would be."""
        label = label_places(place[None], run.truth, self.radii, self.settings.reach)
        stage1 = stage1_at(run, place[None])[0]
        return _Place(run, place, stage1, label.classes[0], label.targets[0])


@dataclass(frozen=True)
class _Place:
    """A place in Å, zyx, its stage-1 scores, its class (k for none) and that particle's centre."""

    run: RefinerRun
    place: NDArray[np.float64]
    stage1: NDArray[np.float32]
    label: np.int64
    target: NDArray[np.float64]

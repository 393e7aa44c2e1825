"""Whether picks lie on particles at all, and if not, which mistake would put them there.

Axes that were swapped or mirrored on the way through a file, and picks in the wrong unit or at the
wrong scale, leave picks on plain ice. Undoing the right mistake puts them back on density: every
mistake of a list is undone in turn, and each time the mean radial profile of the density around
the picks is compared with the profile around random places.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped, unused-ignore]

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.tomogram import Tomogram

Positions = NDArray[np.float64]

SHELLS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.6)
"""Radii of the profile, in particle radii."""
N_DIRECTIONS = 12
N_RANDOM = 600
"""Random places of each run that tell what a profile looks like where nothing is meant."""
MAX_PICKS = 150
"""Of one class and run; more don't change the verdict."""
NEEDED_GAIN = 2.5
"""A mistake is named where undoing it raises the evidence by this factor ..."""
NEEDED_EVIDENCE = 40.0
"""... to at least this much. Random picks reach about 6, the number of shells."""
AXES = "zyx"


@dataclass(frozen=True)
class Mistake:
    """A mistake that picks may suffer from, and how to undo it.

    Attributes
    ----------
    words
        What it is called.
    undo
        From (n, 3) positions, Å, zyx, and their tomogram to the positions without the mistake.
    factor
        What positions are multiplied by to undo it; 1 where that is not what it is about.
    """

    words: str
    undo: Callable[[Positions, Tomogram], Positions]
    factor: float = 1.0


@dataclass(frozen=True)
class GeometryVerdict:
    """How well picks lie on density, as they are and with a mistake undone.

    Attributes
    ----------
    evidence
        Squared distance of the mean profile from that of random places, in standard errors
        (Hotelling's T²), summed over classes; about 6 a class for picks on nothing.
    mistake
        None where the picks are best as they are.
    evidence_undone
        The same with the mistake undone; `evidence` where there is none.
    """

    evidence: float
    mistake: Mistake | None
    evidence_undone: float


def axis_mistakes() -> list[Mistake]:
    """The 47 ways to swap and mirror the axes."""
    return [
        Mistake(_axis_words(order, mirrored), _undo_axes(order, mirrored))
        for order in itertools.permutations(range(3))
        for mirrored in itertools.product((False, True), repeat=3)
        if order != (0, 1, 2) or any(mirrored)
    ]


def scale_mistakes(voxel_spacing: float) -> list[Mistake]:
    """Picks in voxels or nm, of a binned volume, or up to a quarter too small or too large."""
    voxels, nm = "in voxels, not in Å", "in nm, not in Å"
    if abs(voxel_spacing - 10.0) < 0.3:
        voxels = nm = "in voxels or nm, not in Å"
    factors = {f"picks are {voxels}": voxel_spacing}
    factors.setdefault(f"picks are {nm}", 10.0)
    factors["picks were multiplied by the voxel spacing once too often"] = 1.0 / voxel_spacing
    factors |= {f"picks are too small by a factor of {n}": float(n) for n in (2, 4, 8)}
    factors |= {f"picks are too large by a factor of {n}": 1.0 / n for n in (2, 4, 8)}
    for percent in np.arange(-25.0, 25.01, 0.5):
        if percent:
            small = "small" if percent > 0 else "large"
            factors[f"picks are too {small} by {abs(percent):.1f} %"] = 1 + percent / 100
    return [Mistake(words, _undo_scale(f), f) for words, f in factors.items()]


def weigh_mistakes(
    tomograms: Sequence[Tomogram],
    positions: Sequence[Positions],
    radius: float,
    mistakes: Sequence[Mistake],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Evidence that the picks of one class lie on density, with each mistake undone.

    Parameters
    ----------
    tomograms
        With their volumes in memory.
    positions : of each tomogram (n, 3) float array, Å, zyx
    radius : Å
    mistakes
        As :func:`axis_mistakes` and :func:`scale_mistakes` give them.
    rng
        Draws the random places, and picks where there are more than `MAX_PICKS`.

    Returns
    -------
    (1 + len(mistakes),) float64 array
        First the picks as they are. Evidence of several classes adds up.
    """
    positions = [p if len(p) <= MAX_PICKS else rng.permutation(p)[:MAX_PICKS] for p in positions]
    random = np.concatenate([_random_profiles(t, radius, rng) for t in tomograms])
    covariance = np.cov(random, rowvar=False)
    ridge = 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    background = (random.mean(axis=0), np.linalg.inv(covariance + ridge))
    found = [_evidence(tomograms, positions, radius, background)]
    for mistake in mistakes:
        undone = [mistake.undo(p, t) for p, t in zip(positions, tomograms, strict=True)]
        found.append(_evidence(tomograms, undone, radius, background))
    return np.array(found)


def decide(evidence: NDArray[np.float64], mistakes: Sequence[Mistake]) -> GeometryVerdict:
    """Name a mistake where undoing it raises the evidence clearly.

    Parameters
    ----------
    evidence : (1 + len(mistakes),) float array
        As :func:`weigh_mistakes` gives it, of one class or summed over several.
    mistakes
    """
    as_is, best = float(evidence[0]), int(evidence.argmax())
    top = float(evidence[best])
    if best == 0 or top < NEEDED_EVIDENCE or top < NEEDED_GAIN * as_is:
        return GeometryVerdict(as_is, None, as_is)
    return GeometryVerdict(as_is, mistakes[best - 1], top)


def clipped(tomogram: Tomogram, deviations: float = 5.0) -> Tomogram:
    """The tomogram with gold and other extremes cut off, so that no single voxel decides.

    Parameters
    ----------
    tomogram
    deviations
        Robust standard deviations from the median that are kept.
    """
    volume = tomogram.array()
    sample = volume[::4, ::4, ::4]
    middle = float(np.median(sample))
    width = deviations * max(1.4826 * float(np.median(np.abs(sample - middle))), 1e-12)
    return Tomogram(
        np.clip(volume, middle - width, middle + width),
        tomogram.voxel_spacing,
        tomogram.origin,
        tomogram.run,
        tomogram.tomo_type,
    )


def inside(tomogram: Tomogram, positions: Positions) -> NDArray[np.bool_]:
    """Which positions (n, 3), Å, zyx, lie in the volume, its outer voxels whole.

    Returns
    -------
    (n,) bool array
    """
    index = angstrom_to_index(positions, tomogram.voxel_spacing, tomogram.origin)
    within = (index >= -0.5) & (index <= np.asarray(tomogram.shape) - 0.5)
    return np.asarray(within.all(axis=1))


def _axis_words(order: Sequence[int], mirrored: Sequence[bool]) -> str:
    """What a permutation and mirroring of the axes is called."""
    words = []
    moved = [AXES[a] for a in range(3) if order[a] != a]
    if len(moved) == 2:
        words.append(f"{moved[1]} and {moved[0]} are swapped")
    elif moved:
        words.append(f"axes are in the order {' '.join(AXES[a] for a in order)}, not z y x")
    turned = [AXES[a] for a in range(3) if mirrored[a]]
    if turned:
        words.append(f"{' and '.join(turned)} {'is' if len(turned) == 1 else 'are'} mirrored")
    return " and ".join(words)


def _undo_axes(
    order: tuple[int, ...], mirrored: tuple[bool, ...]
) -> Callable[[Positions, Tomogram], Positions]:
    def undo(positions: Positions, tomogram: Tomogram) -> Positions:
        fixed = np.empty_like(positions)
        fixed[:, list(order)] = positions
        spacing = np.asarray(tomogram.voxel_spacing)
        ends = 2 * np.asarray(tomogram.origin) + (np.asarray(tomogram.shape) - 1) * spacing
        return np.where(mirrored, ends - fixed, fixed)

    return undo


def _undo_scale(factor: float) -> Callable[[Positions, Tomogram], Positions]:
    def undo(positions: Positions, tomogram: Tomogram) -> Positions:
        return positions * factor

    return undo


def _profiles(tomogram: Tomogram, positions: Positions, radius: float) -> NDArray[np.float64]:
    """Mean density on spheres around positions, less its mean over them: (n, shells) float64."""
    # A spiral of points on the sphere, the same for every shell.
    i = np.arange(N_DIRECTIONS) + 0.5
    z = 1 - 2 * i / N_DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - z**2)
    sphere = np.stack([z, across * np.sin(turn), across * np.cos(turn)], axis=1)
    points = radius * np.asarray(SHELLS)[:, None, None] * sphere  # (shells, directions, 3)
    where = positions[:, None, None, :] + points
    index = angstrom_to_index(where, tomogram.voxel_spacing, tomogram.origin)
    values = ndimage.map_coordinates(
        tomogram.volume, np.moveaxis(index, -1, 0), order=1, mode="nearest"
    )
    profile = values.mean(axis=2, dtype=np.float64)
    return np.asarray(profile - profile.mean(axis=1, keepdims=True))


def _random_profiles(
    tomogram: Tomogram, radius: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    size = (np.asarray(tomogram.shape) - 1) * np.asarray(tomogram.voxel_spacing)
    places = np.asarray(tomogram.origin) + rng.uniform(size=(N_RANDOM, 3)) * size
    return _profiles(tomogram, places, radius)


def _evidence(
    tomograms: Sequence[Tomogram],
    positions: Sequence[Positions],
    radius: float,
    background: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> float:
    """Hotelling's T² of the profiles around positions; background: mean, inverse covariance."""
    found = [
        _profiles(t, p[inside(t, p)], radius) for t, p in zip(tomograms, positions, strict=True)
    ]
    profiles = np.concatenate(found)
    if len(profiles) < 4:
        return 0.0
    mean, inverse = background
    apart = profiles.mean(axis=0) - mean
    return float(len(profiles) * apart @ inverse @ apart)

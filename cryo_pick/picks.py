"""Picks: labelled, scored positions of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Picks:
    """Picks of one run as parallel arrays. May be empty.

    Attributes
    ----------
    positions : (n, 3) float64 array, Å, zyx
    classes : (n,) int64 array
        Index into the :class:`~cryo_pick.objects.ParticleTypes` that the picks belong to.
    scores : (n,) float64 array
        In [0, 1]; 1 for curated picks.
    """

    positions: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        """Convert and check every array.

        Raises
        ------
        ValueError
            If shapes disagree, a position or score is not finite, or a class is negative.
        """
        positions = np.asarray(self.positions, np.float64)
        if positions.size == 0:
            positions = positions.reshape(0, 3)
        if positions.ndim != 2 or positions.shape[1] != 3:
            raise ValueError(f"Expected `positions` to be (n, 3), but got shape {positions.shape}.")
        n = len(positions)
        classes = np.asarray(self.classes, np.int64).ravel()
        scores = np.asarray(self.scores, np.float64).ravel()
        if scores.size == 0 and n:
            scores = np.ones(n)
        for name, array in (("classes", classes), ("scores", scores)):
            if len(array) != n:
                raise ValueError(f"Expected `{name}` to have {n} entries, but got {len(array)}.")
        if not np.isfinite(positions).all():
            raise ValueError("Expected `positions` to be finite, but got NaN or infinity.")
        if not np.isfinite(scores).all():
            raise ValueError("Expected `scores` to be finite, but got NaN or infinity.")
        if n and classes.min() < 0:
            raise ValueError(f"Expected `classes` to be 0 or more, but got {classes.min()}.")
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "scores", scores)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, keep: ArrayLike) -> Picks:
        """Picks selected by a boolean mask or an array of indices."""
        index = np.asarray(keep)
        return Picks(self.positions[index], self.classes[index], self.scores[index])

    @classmethod
    def empty(cls) -> Picks:
        """No picks."""
        return cls(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0))

    @classmethod
    def concatenate(cls, parts: Sequence[Picks]) -> Picks:
        """All picks of `parts`, in order."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([p.positions for p in parts]),
            np.concatenate([p.classes for p in parts]),
            np.concatenate([p.scores for p in parts]),
        )

    def of_class(self, index: int) -> Picks:
        """The picks of one class."""
        return self[self.classes == index]

"""Candidates: places of one run that may hold a particle, with the scores of both stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates of one run as parallel arrays. May be empty.

    A candidate is a place, not a class: it carries the stage-1 score of every class, so that the
    refiner can move it to another class.

    Attributes
    ----------
    positions : (n, 3) float64 array, Å, zyx
        Of the strongest heatmap peak at that place.
    stage1 : (n, k) float32 array in [0, 1]
        Heatmap score of each class at the place.
    stage2 : (n, k + 1) float32 array or None
        Probability of each class, and last of none; None before refinement.
    refined : (n, 3) float64 array, Å, zyx, or None
        Position after refinement; None before it.
    """

    positions: NDArray[np.float64]
    stage1: NDArray[np.float32]
    stage2: NDArray[np.float32] | None = None
    refined: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Convert and check every array.

        Raises
        ------
        ValueError
            If shapes disagree, a value is not finite, or only one of stage2 and refined is given.
        """
        positions = np.asarray(self.positions, np.float64).reshape(-1, 3)
        stage1 = np.asarray(self.stage1, np.float32)
        n = len(positions)
        if stage1.ndim != 2 or len(stage1) != n:
            raise ValueError(f"Expected `stage1` to be ({n}, k), but got shape {stage1.shape}.")
        if (self.stage2 is None) != (self.refined is None):
            raise ValueError("Expected `stage2` and `refined` both or neither, but got only one.")
        arrays: dict[str, NDArray[np.floating]] = {"positions": positions, "stage1": stage1}
        if self.stage2 is not None and self.refined is not None:
            stage2 = np.asarray(self.stage2, np.float32)
            refined = np.asarray(self.refined, np.float64).reshape(-1, 3)
            if stage2.shape != (n, stage1.shape[1] + 1):
                raise ValueError(
                    f"Expected `stage2` to be ({n}, {stage1.shape[1] + 1}), but got {stage2.shape}."
                )
            if len(refined) != n:
                raise ValueError(f"Expected `refined` to be ({n}, 3), but got {refined.shape}.")
            arrays |= {"stage2": stage2, "refined": refined}
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(f"Expected `{name}` to be finite, but got NaN or infinity.")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_classes(self) -> int:
        """Number of particle classes k."""
        return int(self.stage1.shape[1])

    def __getitem__(self, keep: ArrayLike) -> Candidates:
        """Candidates selected by a boolean mask or an array of indices."""
        i = np.asarray(keep)
        return Candidates(
            self.positions[i],
            self.stage1[i],
            None if self.stage2 is None else self.stage2[i],
            None if self.refined is None else self.refined[i],
        )

    @classmethod
    def empty(cls, n_classes: int) -> Candidates:
        """No candidates of `n_classes` classes."""
        return cls(np.empty((0, 3)), np.empty((0, n_classes), np.float32))

"""Variations of a training sample that move image and positions together, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cryo_pick.settings import AugmentSettings


@dataclass(frozen=True)
class GridSymmetry:
    """A symmetry of the voxel grid: quarter turns about z, then mirrors.

    Quarter turns about x or y are left out: the missing wedge makes z special.
    """

    mirror: tuple[bool, bool, bool] = (False, False, False)
    turns: int = 0

    @classmethod
    def draw(
        cls, settings: AugmentSettings, rng: np.random.Generator, *, square: bool = True
    ) -> GridSymmetry:
        """A random symmetry among those that `settings` allows.

        Parameters
        ----------
        settings
        rng
        square
            Whether h equals w; if not, only half turns keep the shape and are drawn.
        """
        mirror = (rng.random(3) < 0.5) & settings.flip
        turns = int(rng.integers(4)) if settings.rot90 else 0
        if not square:
            turns -= turns % 2
        return cls((bool(mirror[0]), bool(mirror[1]), bool(mirror[2])), turns)

    def volume(self, volume: NDArray[np.float32]) -> NDArray[np.float32]:
        """Move the last three axes (d, h, w) of an array; the result is a view of it.

        Raises
        ------
        ValueError
            If `turns` is odd and h is not w: the crop would change its shape.
        """
        self._check(volume.shape)
        out = np.rot90(volume, self.turns, axes=(-2, -1))
        return np.flip(out, tuple(a - 3 for a in range(3) if self.mirror[a]))

    def points(
        self, index: NDArray[np.float64], shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        """Move fractional indices (n, 3), zyx, of a volume of `shape` with it.

        Raises
        ------
        ValueError
            If `turns` is odd and h is not w.
        """
        self._check(shape)
        centre = (np.array(shape) - 1) / 2
        return self.vectors(index - centre) + centre

    def vectors(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn difference vectors (n, 3), zyx."""
        z, y, x = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
        for _ in range(self.turns % 4):
            y, x = -x, y  # what numpy.rot90 does to an index
        sign = np.where(self.mirror, -1.0, 1.0)
        return np.stack([z, y, x], -1) * sign

    def _check(self, shape: tuple[int, ...]) -> None:
        if self.turns % 2 and shape[-2] != shape[-1]:
            raise ValueError(
                f"Expected a shape with h equal to w for {self.turns} quarter turns, "
                f"but got {tuple(shape[-3:])}."
            )


def vary_intensity(
    volume: NDArray[np.float32], settings: AugmentSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Scale, shift and noise of random strength, on a volume of unit variance."""
    factor = 1 + rng.uniform(-settings.scale, settings.scale)
    offset = rng.uniform(-settings.shift, settings.shift)
    out = volume * np.float32(factor) + np.float32(offset)
    strength = rng.uniform(0, settings.noise)
    if strength > 0:
        out += np.float32(strength) * _noise(volume.shape, rng)
    return out


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """White noise of unit variance: a random piece of a store, where it is large enough.

    Drawing every value anew took a quarter of the time in which a sample was made.
    """
    size, store = int(np.prod(shape)), _noise_store()
    if size > len(store) // 4:
        return rng.standard_normal(shape, np.float32)
    start = rng.integers(len(store) - size + 1)
    return store[start : start + size].reshape(shape)


@cache
def _noise_store() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(1 << 22, np.float32)

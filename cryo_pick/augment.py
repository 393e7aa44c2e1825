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


def draw_affine(settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random small rotation and zoom: the matrix from a crop's voxels to the volume's.

    Parameters
    ----------
    settings
        `rotate_z`, `rotate_xy` (degrees) and `zoom` are read.
    rng

    Returns
    -------
    (3, 3) array, zyx
        The unit matrix where the settings ask for nothing.
    """
    about = np.radians(
        rng.uniform(-1, 1, 3) * [settings.rotate_z, settings.rotate_xy, settings.rotate_xy]
    )
    matrix = np.eye(3)
    for axis, angle in enumerate(about):
        if angle:
            a, b = (i for i in range(3) if i != axis)
            turn = np.eye(3)
            turn[[a, a, b, b], [a, b, a, b]] = (
                np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
            )  # fmt: skip
            matrix = matrix @ turn
    return matrix / (1 + rng.uniform(-settings.zoom, settings.zoom))


def widen_wedge(volume: NDArray[np.float32], largest_tilt: float) -> NDArray[np.float32]:
    """Remove what tilts about y, from minus to plus `largest_tilt`, would not have measured.

    Parameters
    ----------
    volume : (d, h, w) array
    largest_tilt
        Degrees, above 0 and below 90.

    Returns
    -------
    float32 array of the same shape
        Its mean is kept.
    """
    kz = np.abs(np.fft.fftfreq(volume.shape[0]))[:, None]
    kx = np.fft.rfftfreq(volume.shape[2])[None, :]
    measured = kz <= kx * np.tan(np.radians(largest_tilt)) + 1e-9
    spectrum = np.fft.rfftn(volume, axes=(0, 1, 2)) * measured[:, None, :]
    return np.fft.irfftn(spectrum, s=volume.shape, axes=(0, 1, 2)).astype(np.float32)


def paste_ball(
    image: NDArray[np.float32], patch: NDArray[np.float32], centre: tuple[int, int, int]
) -> NDArray[np.float32]:
    """An image with the ball that fills a cubic patch put in; its outer quarter fades over.

    Parameters
    ----------
    image : (d, h, w) array
    patch : (2 r + 1,) * 3 array
    centre : voxel of the image, zyx
        The patch may reach over the border.

    Returns
    -------
    float32 array of the image's shape
    """
    r = patch.shape[0] // 2
    away = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(-r, r + 1)] * 3, indexing="ij")), axis=0)
    share = np.clip((r + 0.5 - away) / (0.25 * r + 0.5), 0, 1).astype(np.float32)
    out = image.copy()
    low = [max(c - r, 0) for c in centre]
    high = [min(c + r + 1, n) for c, n in zip(centre, image.shape, strict=True)]
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = tuple(slice(a - c + r, b - c + r) for a, b, c in zip(low, high, centre, strict=True))
    out[there] += share[here] * (patch[here] - out[there])
    return out


def mix_batch(
    batch: dict[str, NDArray[np.float32]], settings: AugmentSettings, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Mix each sample with the next one of its batch, with coefficients drawn evenly from 0 to 1.

    Where targets are mixed, each sample has a coefficient of its own. Where losses are mixed the
    batch has one, and goes on with both targets: ``target``, ``other_target`` and ``mix``, the
    share of the former. Source: mixup (Zhang et al., 2018), as the 1st and the 4th place of the
    CZII challenge used it.

    Parameters
    ----------
    batch
        ``image`` (b, 1, d, h, w) and ``target`` (b, ...), perhaps ``annotated`` (b, k): of mixed
        samples, only what both know is known.
    settings
        `mixup` and `mixup_probability` are read.
    rng
    """
    if settings.mixup == "none" or rng.random() >= settings.mixup_probability:
        return batch
    size = len(batch["image"])
    other = {name: np.roll(values, 1, 0) for name, values in batch.items()}
    n_shares = size if settings.mixup == "targets" else 1
    share = rng.uniform(0, 1, n_shares).astype(np.float32)

    def mixed(name: str) -> NDArray[np.float32]:
        weight = share.reshape(-1, *(1,) * (batch[name].ndim - 1))
        return weight * batch[name] + (1 - weight) * other[name]

    result = batch | {"image": mixed("image")}
    if "annotated" in batch:
        result["annotated"] = batch["annotated"] * other["annotated"]
    if settings.mixup == "targets":
        return result | {"target": mixed("target")}
    return result | {"other_target": other["target"], "mix": share}

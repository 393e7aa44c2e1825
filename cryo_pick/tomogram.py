"""One reconstructed volume of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector


@dataclass(frozen=True)
class Tomogram:
    """A volume with its place in space.

    Attributes
    ----------
    volume : (d, h, w) array, zyx
        Anything that slices like one: numpy array, memory map or zarr array.
    voxel_spacing : Å, zyx
    origin : Å, zyx
        Position of the centre of voxel (0, 0, 0).
    run, tomo_type
        copick's names.
    """

    volume: Any
    voxel_spacing: Vector
    origin: Vector = (0.0, 0.0, 0.0)
    run: str = ""
    tomo_type: str = ""

    def __post_init__(self) -> None:
        """Check dimensions and spacing.

        Raises
        ------
        ValueError
            If the volume isn't three-dimensional and non-empty, or a spacing isn't above 0.
        """
        shape = tuple(self.volume.shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(
                f"Expected the volume of run {self.run!r} to be (d, h, w) with no empty axis, "
                f"but got shape {shape}."
            )
        if not all(np.isfinite(s) and s > 0 for s in self.voxel_spacing):
            raise ValueError(
                f"Expected the voxel spacing of run {self.run!r} to be above 0 Å, "
                f"but got {self.voxel_spacing}."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        d, h, w = self.volume.shape
        return int(d), int(h), int(w)

    def array(self) -> NDArray[np.float32]:
        """The whole volume in memory, float32; a copy only where one is needed."""
        return np.asarray(self.volume[:], np.float32)

"""Particle types: copick's pickable objects, with the CZII score weight."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ParticleType:
    """One class of particle.

    Attributes
    ----------
    name
        copick's object name; no underscore, no path separator.
    label
        copick's label, at least 1 (0 is background). Used in files only.
    radius
        Å. A pick is a hit within half of it.
    weight
        Weight in the CZII score, at least 0.
    color
        RGBA, 0 to 255.
    """

    name: str
    label: int
    radius: float
    weight: float = 1.0
    color: tuple[int, int, int, int] = (255, 180, 0, 255)

    def __post_init__(self) -> None:
        """Check every field.

        Raises
        ------
        ValueError
            If a name, label, radius or weight can't be used.
        """
        if not self.name or any(c in self.name for c in "_/\\") or self.name.startswith("."):
            raise ValueError(
                f"Expected argument `name` to be a copick object name (no '_', '/', leading '.'), "
                f"but got {self.name!r}."
            )
        if self.label < 1:
            raise ValueError(
                f"Expected argument `label` of {self.name} to be 1 or more, but got {self.label}."
            )
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise ValueError(
                f"Expected argument `radius` of {self.name} to be above 0 Å, but got {self.radius}."
            )
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(
                f"Expected argument `weight` of {self.name} to be 0 or more, but got {self.weight}."
            )


@dataclass(frozen=True)
class ParticleTypes:
    """The classes of a project, in a fixed order: a class index is a place in it."""

    types: tuple[ParticleType, ...]

    def __post_init__(self) -> None:
        """Check that names and labels are distinct.

        Raises
        ------
        ValueError
            If a name or a label occurs twice.
        """
        for what in ("name", "label"):
            values = [getattr(t, what) for t in self.types]
            twice = sorted({str(v) for v in values if values.count(v) > 1})
            if twice:
                raise ValueError(
                    f"Expected distinct object {what}s, but got {', '.join(twice)} twice."
                )

    def __len__(self) -> int:
        return len(self.types)

    def __iter__(self) -> Iterator[ParticleType]:
        return iter(self.types)

    def __getitem__(self, index: int) -> ParticleType:
        return self.types[index]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in class order."""
        return tuple(t.name for t in self.types)

    @property
    def radii(self) -> NDArray[np.float64]:
        """(k,) radii in Å."""
        return np.array([t.radius for t in self.types], np.float64)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(k,) score weights."""
        return np.array([t.weight for t in self.types], np.float64)

    def check_classes(self, classes: NDArray[np.int64]) -> None:
        """Refuse class indices that stand for none of the types.

        Raises
        ------
        ValueError
            If there is one.
        """
        if len(classes) and classes.max() >= len(self):
            raise ValueError(f"Expected classes below {len(self)}, but got {classes.max()}.")

    def index(self, name: str) -> int:
        """Class index of a name.

        Raises
        ------
        KeyError
            If no class has that name; the message shows the closest names.
        """
        if name in self.names:
            return self.names.index(name)
        close = difflib.get_close_matches(name, self.names, n=3, cutoff=0.5)
        hint = f"closest: {', '.join(close)}" if close else f"known: {', '.join(self.names)}"
        raise KeyError(f"no particle type {name!r}; {hint}")


CZII_TYPES = ParticleTypes(
    (
        ParticleType("apo-ferritin", 1, 60.0, 1.0, (0, 117, 220, 255)),
        ParticleType("beta-amylase", 2, 65.0, 0.0, (153, 63, 0, 255)),
        ParticleType("beta-galactosidase", 3, 90.0, 2.0, (255, 80, 5, 255)),
        ParticleType("ribosome", 4, 150.0, 1.0, (43, 206, 72, 255)),
        ParticleType("thyroglobulin", 5, 130.0, 2.0, (255, 0, 190, 255)),
        ParticleType("virus-like-particle", 6, 135.0, 1.0, (240, 220, 0, 255)),
    )
)
"""The classes of the CZII challenge, with its radii and weights."""

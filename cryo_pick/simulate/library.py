"""The molecules of a simulation: the labelled classes and the look-alikes around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.simulate.density import Density
from cryo_pick.simulate.particles import CLASSES, DISTRACTORS, built_in_density

CopyRange = tuple[int, int]

# Picks per run of the CZII training data, whose volumes are 184 x 630 x 630 voxels.
CLASS_COPIES: dict[str, CopyRange] = {
    "apo-ferritin": (30, 65),
    "beta-amylase": (8, 20),
    "beta-galactosidase": (10, 25),
    "ribosome": (25, 75),
    "thyroglobulin": (25, 45),
    "virus-like-particle": (8, 20),
}
OTHER_CLASS_COPIES: CopyRange = (10, 30)
DISTRACTOR_COPIES: CopyRange = (8, 24)


@dataclass(frozen=True, eq=False)
class Species:
    """One molecule and how much of it is in the ice.

    Attributes
    ----------
    density
    copies
        Least and most copies per CZII-sized run, both included.
    class_index
        Place in the particle types; None for what is never labelled.
    """

    density: Density
    copies: CopyRange
    class_index: int | None = None


@dataclass(frozen=True, eq=False)
class Library:
    """Every molecule that a scene may hold, at one voxel spacing.

    Attributes
    ----------
    types
    species
        Of every class in order, then the look-alikes.
    voxel_spacing : Å
    """

    types: ParticleTypes
    species: tuple[Species, ...]
    voxel_spacing: float

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises
        ------
        ValueError
            If a class is missing, repeated or out of order, or a density has another spacing.
        """
        labelled = [s.class_index for s in self.species if s.class_index is not None]
        if labelled != list(range(len(self.types))):
            raise ValueError(
                f"Expected `species` to hold classes 0 to {len(self.types) - 1} in order, "
                f"but got {labelled}."
            )
        for s in self.species:
            if s.density.voxel_spacing != self.voxel_spacing:
                raise ValueError(
                    f"Expected the density of {s.density.name} at {self.voxel_spacing} Å, "
                    f"but got {s.density.voxel_spacing} Å."
                )


def assemble_library(
    types: ParticleTypes, labelled: Sequence[Density], distractors: Sequence[Density]
) -> Library:
    """Library of one density per class, in class order, and look-alikes.

    Raises
    ------
    ValueError
        If there is not one density per class.
    """
    if len(labelled) != len(types) or not labelled:
        raise ValueError(f"Expected {len(types)} labelled densities, but got {len(labelled)}.")
    species = [
        Species(density, CLASS_COPIES.get(t.name, OTHER_CLASS_COPIES), i)
        for i, (t, density) in enumerate(zip(types, labelled, strict=True))
    ]
    species += [Species(density, DISTRACTOR_COPIES) for density in distractors]
    return Library(types, tuple(species), labelled[0].voxel_spacing)


def built_in_library(voxel_spacing: float) -> Library:
    """The six CZII classes and five look-alikes, built in; `voxel_spacing` in Å."""
    return assemble_library(
        CZII_TYPES,
        [built_in_density(name, voxel_spacing) for name in CLASSES],
        [built_in_density(name, voxel_spacing) for name in DISTRACTORS],
    )

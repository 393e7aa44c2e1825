import pytest

from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.simulate.library import Library, Species, assemble_library, built_in_library
from cryo_pick.simulate.particles import DISTRACTORS, built_in_density


def test_built_in_library_has_every_class_in_order_and_look_alikes() -> None:
    library = built_in_library(15.0)
    labelled = [s for s in library.species if s.class_index is not None]
    assert [s.density.name for s in labelled] == list(CZII_TYPES.names)
    assert [s.class_index for s in labelled] == list(range(6))
    assert [s.density.name for s in library.species[6:]] == list(DISTRACTORS)
    assert library.voxel_spacing == 15.0


def test_parts_that_do_not_fit_are_refused() -> None:
    ferritin = built_in_density("apo-ferritin", 15.0)
    one = ParticleTypes((CZII_TYPES[0],))
    with pytest.raises(ValueError, match="Expected 1 labelled densities, but got 0"):
        assemble_library(one, [], [])
    with pytest.raises(ValueError, match=r"classes 0 to 0 in order, but got \[\]"):
        Library(one, (Species(ferritin, (1, 1)),), 15.0)
    with pytest.raises(ValueError, match=r"apo-ferritin at 10\.0 Å, but got 15\.0"):
        Library(one, (Species(ferritin, (1, 1), 0),), 10.0)

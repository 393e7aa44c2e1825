import numpy as np
import pytest

from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.simulate.library import assemble_library, built_in_library
from cryo_pick.simulate.particles import built_in_density
from cryo_pick.simulate.run import SimulateSettings, simulate_run
from cryo_pick.simulate.scene import add_molecule

SHAPE = (32, 64, 64)
SPACING = 20.0
CROWDED = SimulateSettings(voxel_spacing=SPACING, crowding=4.0, tomo_types=("wbp", "denoised"))


def test_a_run_has_its_volumes_its_truth_and_dark_particles() -> None:
    run = simulate_run(7, SHAPE, CROWDED)
    assert list(run.volumes) == ["wbp", "denoised"]
    assert run.types is CZII_TYPES
    assert run.voxel_spacing == SPACING
    assert len(run.picks) >= 10
    for volume in run.volumes.values():
        assert volume.shape == SHAPE
        assert volume.dtype == np.float32
        assert float(volume.mean()) == pytest.approx(0, abs=1e-3)
        assert float(volume.std()) == pytest.approx(1, abs=1e-3)
    solid = run.picks.of_class(CZII_TYPES.index("ribosome"))
    index = np.round(solid.positions / SPACING).astype(int)
    assert run.volumes["denoised"][tuple(index.T)].mean() < -0.5


def test_a_run_depends_on_its_seed_alone() -> None:
    first = simulate_run(3, SHAPE, CROWDED)
    simulate_run(4, SHAPE, CROWDED)
    again = simulate_run(3, SHAPE, CROWDED, built_in_library(SPACING))
    other = simulate_run(4, SHAPE, CROWDED)
    np.testing.assert_array_equal(first.picks.positions, again.picks.positions)
    np.testing.assert_array_equal(first.volumes["wbp"], again.volumes["wbp"])
    assert not np.array_equal(first.volumes["wbp"], other.volumes["wbp"])


def test_truth_agrees_with_the_reconstruction_within_a_twentieth_of_a_voxel() -> None:
    kind = CZII_TYPES[0]
    density = built_in_density(kind.name, 10.0)
    library = assemble_library(ParticleTypes((kind,)), [density], [])
    settings = SimulateSettings(voxel_spacing=10.0, noise=0.0, crowding=40.0, tomo_types=("wbp",))
    run = simulate_run(0, (40, 96, 96), settings, library)
    assert len(run.picks) >= 5
    offset = []
    for axis in np.eye(3):
        agreement = []
        for shift in (-0.3, 0.0, 0.3):
            drawn = np.zeros((40, 96, 96), np.float32)
            for index in run.picks.positions / 10.0:
                add_molecule(drawn, density, index + shift * axis, np.eye(3))
            agreement.append(-float((run.volumes["wbp"] * drawn).sum()))
        before, top, after = agreement
        offset.append(0.3 * 0.5 * (before - after) / (before - 2 * top + after))
        assert top > max(before, after)
    np.testing.assert_allclose(offset, 0, atol=0.05)


def test_less_noise_shows_the_particles_more_clearly() -> None:
    contrast = []
    for noise in (0.3, 3.0):
        settings = SimulateSettings(voxel_spacing=SPACING, noise=noise, crowding=4.0)
        run = simulate_run(1, SHAPE, settings)
        solid = run.picks.of_class(CZII_TYPES.index("ribosome"))
        index = np.round(solid.positions / SPACING).astype(int)
        contrast.append(-float(run.volumes["denoised"][tuple(index.T)].mean()))
    assert contrast[0] > contrast[1] + 0.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise", -1.0),
        ("crowding", float("nan")),
        ("voxel_spacing", 0.0),
        ("tilt_max", 90.0),
        ("tilt_step", 0.0),
        ("tomo_types", ("sirt",)),
        ("tomo_types", ()),
    ],
)
def test_settings_that_cannot_be_simulated_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="Expected a"):
        SimulateSettings(**{field: value})


def test_a_volume_too_small_or_a_library_at_another_spacing_is_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers of 16 or more"):
        simulate_run(0, (8, 64, 64), CROWDED)
    with pytest.raises(ValueError, match=r"library at 20.0 Å, but got 30.0 Å"):
        simulate_run(0, SHAPE, CROWDED, built_in_library(30.0))

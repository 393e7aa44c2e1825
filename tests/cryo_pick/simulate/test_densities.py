from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryo_pick.errors import InputError
from cryo_pick.objects import CZII_TYPES, ParticleTypes
from cryo_pick.simulate.densities import load_density, load_library, match_files, read_density
from cryo_pick.simulate.density import center_of_mass

SHARED = Path(__file__).parents[4] / "shared/phantom/densities"
FERRITIN = ParticleTypes((CZII_TYPES[0],))


def blob(shape: tuple[int, int, int], center: tuple[float, float, float]) -> np.ndarray:
    z, y, x = np.indices(shape)
    squared = (z - center[0]) ** 2 + (y - center[1]) ** 2 + (x - center[2]) ** 2
    return np.exp(-squared / (2 * 2.0**2)).astype(np.float32)


def write_mrc(path: Path, grid: np.ndarray, voxel_size: float) -> None:
    with mrcfile.new(path) as file:
        file.set_data(grid)
        file.voxel_size = voxel_size


def test_npz_is_at_10_angstrom_and_mrc_at_its_own_voxel_size(tmp_path: Path) -> None:
    grid = blob((17, 19, 21), (8, 9, 11))
    np.savez(tmp_path / "a.npz", density=grid)
    write_mrc(tmp_path / "b.mrc", grid, 4.5)
    for name, spacing in (("a.npz", 10.0), ("b.mrc", 4.5)):
        loaded, voxel = read_density(tmp_path / name)
        np.testing.assert_array_equal(loaded, grid)
        np.testing.assert_allclose(voxel, spacing, rtol=1e-5)


def test_a_map_is_resampled_normalised_and_centred(tmp_path: Path) -> None:
    write_mrc(tmp_path / "6pxm.mrc", 50 * blob((33, 33, 33), (14.2, 17.7, 16)), 5.0)
    density = load_density("apo-ferritin", tmp_path / "6pxm.mrc", 8.0)
    middle = (len(density.grid) - 1) / 2
    np.testing.assert_allclose(center_of_mass(density.grid), middle, atol=0.03)
    # Sigma is 10 Å; 98 % of a Gaussian's mass lies within 3.1 sigma.
    assert density.extent == pytest.approx(31, abs=6)
    assert 0.9 < density.grid.max() < 3


def test_files_are_matched_by_object_name_or_pdb_id_in_any_case() -> None:
    files = [Path(n) for n in ("6PXM.npz", "ribosome.mrc", "Other.map")]
    types = ParticleTypes((CZII_TYPES[0], CZII_TYPES[3]))
    chosen, others = match_files(files, types)
    assert chosen == {"apo-ferritin": files[0], "ribosome": files[1]}
    assert others == [files[2]]


def test_every_missing_or_doubled_class_is_listed() -> None:
    files = [Path("6pxm.npz"), Path("apo-ferritin.mrc")]
    with pytest.raises(InputError, match="6 problems") as error:
        match_files(files, CZII_TYPES)
    text = str(error.value)
    assert "apo-ferritin: several files, 6pxm.npz, apo-ferritin.mrc" in text
    assert "thyroglobulin: no file called thyroglobulin or 6scj or 7n4y" in text


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "apo-ferritin.npz"
    with pytest.raises(InputError, match="no such folder"):
        load_library(tmp_path / "nowhere", FERRITIN, 10.0)
    bad = np.ones((5, 5, 5), np.float32)
    bad[0, 0, :2] = np.nan
    for content, message in (
        ({"other": bad}, "no array `density`"),
        ({"density": np.ones((5, 5), np.float32)}, r"3D density map, but got shape \(5, 5\)"),
        ({"density": bad}, "2 values of the density are NaN"),
        ({"density": np.zeros((5, 5, 5))}, "above 0"),
    ):
        np.savez(path, **content)
        with pytest.raises(InputError, match=message) as error:
            load_library(tmp_path, FERRITIN, 10.0)
        assert str(path) in str(error.value)
    path.write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="can't be read as an npz file"):
        load_library(tmp_path, FERRITIN, 10.0)


def test_an_mrc_without_a_voxel_size_is_refused(tmp_path: Path) -> None:
    write_mrc(tmp_path / "apo-ferritin.mrc", blob((9, 9, 9), (4, 4, 4)), 1.0)
    with pytest.raises(InputError, match=r"apo-ferritin\.mrc"):
        load_library(tmp_path, FERRITIN, 10.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/phantom/densities")
def test_the_densities_of_the_phantom_make_a_library() -> None:
    library = load_library(SHARED, CZII_TYPES, 10.0)
    labelled = [s for s in library.species if s.class_index is not None]
    assert [s.density.name for s in labelled] == list(CZII_TYPES.names)
    names = {s.density.name for s in library.species if s.class_index is None}
    assert names == {"1qvr", "1u6g", "2uv8", "3ipm", "6utj"}
    for kind, species in zip(CZII_TYPES, labelled, strict=True):
        assert species.density.extent == pytest.approx(kind.radius, rel=0.35)

"""A tiny copick project, written with plain json and zarr only."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cryo_pick.objects import ParticleType, ParticleTypes

SPACING = 10.012


@pytest.fixture
def types() -> ParticleTypes:
    """Three classes."""
    return ParticleTypes(
        (
            ParticleType("apo-ferritin", 1, 60, 1),
            ParticleType("ribosome", 2, 150, 2),
            ParticleType("thyroglobulin", 5, 130, 0.5),
        )
    )


@pytest.fixture
def volume() -> np.ndarray:
    """Noise that needs several chunks of 8."""
    return np.random.default_rng(0).normal(size=(8, 12, 20)).astype(np.float32)


def write_zarr(path: Path, volume: np.ndarray, spacing: float = SPACING, **array: Any) -> None:
    """One level of OME-Zarr 0.4, as other programs write it."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    options = {"chunks": (8, 8, 8), "config": {"write_empty_chunks": True}, **array}
    group.create_array("0", shape=volume.shape, dtype=volume.dtype, **options)[:] = volume
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": n, "type": "space", "unit": "angstrom"} for n in "zyx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [spacing] * 3}],
                }
            ],
        }
    ]


def picks_content(name: str, xyz: list[list[float]], user: str = "curation") -> dict[str, Any]:
    """A picks file as copick writes it."""
    return {
        "pickable_object_name": name,
        "user_id": user,
        "session_id": "0",
        "run_name": "TS_1",
        "voxel_spacing": None,
        "unit": "angstrom",
        "points": [
            {
                "location": dict(zip("xyz", point, strict=True)),
                "transformation_": np.eye(4).tolist(),
                "instance_id": 0,
                "score": 1.0,
            }
            for point in xyz
        ],
    }


@pytest.fixture
def config() -> dict[str, Any]:
    """Config without roots; the objects are not in the order of their labels."""
    return {
        "name": "tiny",
        "config_type": "filesystem",
        "pickable_objects": [
            {"name": "thyroglobulin", "is_particle": True, "label": 5, "radius": 130},
            {
                "name": "apo-ferritin",
                "is_particle": True,
                "label": 1,
                "radius": 60.0,
                "color": [1, 2, 3, 4],
                "metadata": {"score_weight": 2},
            },
            {"name": "membrane", "is_particle": False, "label": 7, "radius": None},
            {"name": "ribosome", "is_particle": True, "label": 2, "radius": 150},
        ],
    }


@pytest.fixture
def project_folder(tmp_path: Path, config: dict[str, Any], volume: np.ndarray) -> Path:
    """Runs TS_1 and TS_2 with one tomogram each; TS_1 has picks of two objects."""
    root = tmp_path / "project"
    for run in ("TS_1", "TS_2"):
        folder = root / "static/ExperimentRuns" / run / "VoxelSpacing10.012"
        write_zarr(folder / "denoised.zarr", volume)
    picks = root / "overlay/ExperimentRuns/TS_1/Picks"
    picks.mkdir(parents=True)
    for name, xyz in {
        "ribosome": [[10.0, 20.0, 30.0]],
        "apo-ferritin": [[1, 2, 3], [4, 5, 6]],
    }.items():
        (picks / f"curation_0_{name}.json").write_text(json.dumps(picks_content(name, xyz)))
    for kind in ("static", "overlay"):
        config[f"{kind}_root"] = f"local://{root.as_posix()}/{kind}"
        config[f"{kind}_fs_args"] = {"auto_mkdir": True}
    (root / "copick_config.json").write_text(json.dumps(config))
    return root


@pytest.fixture
def rewrite(project_folder: Path) -> Any:
    """Change fields of the project's config."""

    def change(**fields: Any) -> Path:
        path = project_folder / "copick_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
        return project_folder

    return change


@pytest.fixture
def make_zarr() -> Any:
    """The function that writes a one-level OME-Zarr."""
    return write_zarr


@pytest.fixture
def make_picks() -> Any:
    """The function that makes the content of a picks file."""
    return picks_content

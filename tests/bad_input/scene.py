"""What the bad inputs are made from: a tiny project, bundle, prediction and trained folder.

Nothing is trained: the networks have the weights they were born with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config, from_mapping, to_yaml
from cryo_pick.formats.candidates_npz import write_candidates
from cryo_pick.formats.copick import create_project
from cryo_pick.formats.mrc import write_mrc
from cryo_pick.formats.ome_zarr import write_ome_zarr
from cryo_pick.network_spec import NetworkSpec
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.parts import build_part
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle, StageFit, write_bundle
from cryo_pick.weights import save_network
from detector.settings import CandidatesSettings, InferSettings
from metrics.thresholds import ThresholdChoice
from refiner.blend import Blend

TYPES = ParticleTypes(
    (ParticleType("ribosome", 1, 150.0), ParticleType("apo-ferritin", 2, 60.0, 2.0))
)
RUNS = ("TS_1", "TS_2")
SHAPE = (16, 24, 32)
SPACING = 20.0
SMALL = {"channels": [8, 8], "blocks": [1, 1]}
PATCH = 16
# Words that make a command fast on any machine; the documents leave them out.
FAST = ("experiment=smoke", "infer.engine=torch")


def volume(seed: int = 0) -> np.ndarray:
    """Noise, (d, h, w) float32."""
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def make_project(folder: Path) -> None:
    project = create_project(folder, "tiny", TYPES)
    for seed, run in enumerate(RUNS):
        project.add_tomogram(run, volume(seed), SPACING, "wbp")
        rng = np.random.default_rng(100 + seed)
        positions = rng.uniform(0, np.array(SHAPE) * SPACING, (6, 3))
        classes = np.array([0, 1, 0, 1, 0, 1])
        project.write_picks(run, Picks(positions, classes), "curation", "0")


def _candidates() -> Candidates:
    rng = np.random.default_rng(3)
    stage2 = rng.dirichlet(np.ones(3), 5).astype(np.float32)
    positions = rng.uniform(0, 300, (5, 3))
    stage1 = rng.uniform(0.3, 0.9, (5, 2)).astype(np.float32)
    return Candidates(positions, stage1, stage2, positions + 5)


def _fit(stage2: float) -> StageFit:
    choice = ThresholdChoice(0.4, 0.5, 0.35, 0.45)
    ones = np.ones(len(TYPES))
    numbers = {"nested": 0.5, "nested_low": 0.4, "nested_high": 0.6, "optimistic": 0.55}
    curve = {"threshold": [0.5, 0.4], "f": [0.4, 0.5]}
    k = len(TYPES)
    return StageFit(
        Blend(ones, ones * stage2, ones * 0),
        (choice,) * k,
        ((0.3, 0.5),) * k,
        (curve,) * k,
        numbers,
    )


def make_bundle(folder: Path) -> None:
    torch.manual_seed(0)
    for stage, network, patch in (("detector", "shuffle_unet", 0), ("refiner", "patch_net", PATCH)):
        package = f"{stage}.networks"
        spec = NetworkSpec(package, network, SMALL, TYPES.names, SPACING, (), patch)
        module = build_part(package, network, SMALL, stage, n_classes=len(TYPES))
        save_network(folder / stage / "fold0", module, spec)
    bundle = Bundle(
        types=TYPES,
        voxel_spacing=SPACING,
        tomo_type="wbp",
        intensity={"median": 0.0, "scale": 1.0, "quantiles": [0.0], "skew": 0.0},
        detectors=("detector/fold0",),
        refiners=("refiner/fold0",),
        fits={"one_stage": _fit(0.0), "two_stage": _fit(1.0)},
        candidates=asdict(CandidatesSettings()),
        infer=asdict(InferSettings(views=1)),
        refiner={"patch": PATCH, "views": 1, "batch_size": 8},
        evidence={name: {"stage2_used": True} for name in TYPES.names},
        folds=dict.fromkeys(RUNS, 0),
        versions={"cryo-pick": "0"},
    )
    write_bundle(folder, bundle)


def make_predicted(folder: Path) -> None:
    make_bundle(folder)
    for run in RUNS:
        about = {"voxel_spacing": [SPACING] * 3, "origin": [0.0] * 3}
        path = folder / "runs" / run / "candidates.npz"
        write_candidates(path, _candidates(), TYPES.names, about)


def make_trained(folder: Path, project: Path) -> None:
    make_bundle(folder)
    config: Config = from_mapping({"data": {"project": str(project)}})
    (folder / "config.yaml").write_text(to_yaml(config))
    for run in RUNS:
        write_candidates(folder / "oof" / f"{run}.npz", _candidates(), TYPES.names)


@dataclass(frozen=True)
class Scene:
    """A folder in which a case makes its bad input; what it asks for is copied there first."""

    root: Path
    templates: Path

    @property
    def out(self) -> Path:
        """Where the command is to write."""
        return self.root / "out"

    @cached_property
    def project(self) -> Path:
        """A copick project of two runs with picks of two classes."""
        return self._copy("project", make_project)

    @cached_property
    def bundle(self) -> Path:
        """A bundle of both stages."""
        return self._copy("bundle", make_bundle)

    @cached_property
    def predicted(self) -> Path:
        """A folder as `predict` leaves it."""
        return self._copy("predicted", make_predicted)

    @cached_property
    def trained(self) -> Path:
        """A folder as `train` leaves it, of the project."""
        project = self.project
        return self._copy("trained", lambda folder: make_trained(folder, project))

    @property
    def image(self) -> Path:
        """The OME-Zarr of the project's first run."""
        return self.project / "static/ExperimentRuns" / RUNS[0] / "VoxelSpacing20.000/wbp.zarr"

    @property
    def config(self) -> Path:
        """The project's config."""
        return self.project / "copick_config.json"

    def picks(self, name: str = "ribosome") -> Path:
        """A picks file of the project's first run."""
        folder = self.project / "overlay/ExperimentRuns" / RUNS[0] / "Picks"
        return folder / f"curation_0_{name}.json"

    def chunk(self) -> Path:
        """The one chunk of the finest level of `image`."""
        return self.image / "0/0/0/0"

    def mrc(self, name: str = "TS_9.mrc", spacing: float = SPACING) -> Path:
        """An MRC volume."""
        write_mrc(self.root / name, volume(), spacing)
        return self.root / name

    def zarr(self, name: str = "TS_9.zarr") -> Path:
        """An OME-Zarr outside the project."""
        write_ome_zarr(self.root / name, volume(), SPACING, levels=1)
        return self.root / name

    def text(self, name: str, content: str | bytes) -> Path:
        """A file with some content."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def _copy(self, name: str, make: Callable[[Path], None]) -> Path:
        """A copy of what is made once for all cases; the paths in it are its own."""
        template, copy = self.templates / name, self.root / name
        if not template.exists():
            make(template)
        shutil.copytree(template, copy)
        for path in (copy / "copick_config.json", copy / "config.yaml"):
            if path.exists():
                own = path.read_text().replace(str(self.templates), str(self.root))
                path.write_text(own)
        return copy


def edit_json(path: Path, **fields: Any) -> None:
    """Set fields of a JSON object; a value of ... removes one."""
    values = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))


def predict(scene: Scene, *inputs: Path | str, more: tuple[str, ...] = ()) -> list[str]:
    words = [*map(str, inputs), "--model", str(scene.bundle), "--out", str(scene.out)]
    return ["predict", *words, *more, *FAST]


def train(scene: Scene, *more: str) -> list[str]:
    return ["train", str(scene.project), "--out", str(scene.out), *more, *FAST]


def evaluate(scene: Scene, picks: Path | str, *more: str) -> list[str]:
    return ["evaluate", str(picks), str(scene.project), *more]


class RunsCode:
    """Unpickled, it makes a file, which shows that code was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)

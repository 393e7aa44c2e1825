"""Every preset as a whole, narrowed: what it answers, learns and keeps, where it sees a particle.

Each is trained once, on one tiny volume, until it finds all that is there and nothing else; the
other tests take the trained network, since a network of random weights has no particle to place.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.overrides import group_options
from cryo_pick.picks import Picks
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.settings import AugmentSettings
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network, save_network
from detector.engine import Engine, make_engine
from detector.members import at_heatmap_stride
from detector.parts import output_stride
from detector.tiles import round_up
from detector.train import detector_spec, train_detector, training_run
from metrics.curves import hits_per_class
from refiner.blend import Blend, scored_picks
from tests.detector.narrow import NARROW, narrowed, preset

SPACING = 10.0
TYPES = ParticleTypes((ParticleType("small", 1, 60.0), ParticleType("large", 2, 100.0)))
SHAPE = (32, 32, 64)
CENTRES = np.array(
    [[8, 8, 10], [22, 22, 12], [9, 23, 34], [24, 7, 38], [21, 20, 52], [9, 9, 52]], float
)
CLASSES = np.array([0, 0, 0, 0, 1, 1])
RADII = (4.0, 7.0)
"""Of the balls, voxels."""
NOISE = 0.3
"""Standard deviation; a ball is 1 deep."""
PASTED = AugmentSettings(
    flip=True, rot90=False, scale=0.0, shift=0.0, noise=0.0, mixup="none", paste=1.0
)
"""With a ball put anywhere: else a network learns where balls are, not what they look like."""

STEPS = {
    "shuffle_unet": 800, "unet_half": 800, "slices": 900, "unet_tiny": 300,
    "convnext_nano_25d": 800, "flexunet_resnet34": 160, "points_dynunet": 300,
    "points_segresnet": 200, "unet_resnet101": 120,
}  # fmt: skip
"""Until a preset has learnt the volume; the others need 80."""
RATES = {"convnext_nano_25d": 2e-3, "points_dynunet": 2e-3, "points_segresnet": 2e-3}
MOVES = {
    "points_dynunet": 0.5, "points_segresnet": 0.5, "unet_tiny": 0.15, "convnext_nano_25d": 0.1,
    "shuffle_unet": 0.15, "unet_half": 0.15,
}  # fmt: skip
"""Voxels that a particle may move by, where that is not 0.05.

Instance norms take the mean of a tile as its borders left it, and a point is where the best of
many cells says: another cell, another place. convnext_nano_25d sees farther than a tile is long.
The last two draw more than 1 at a particle, which is cut: a flat peak has no middle.
"""
PERIOD = 32
"""Voxels between balls in a row of them: all tiles are multiples of it."""


def balls(shape: tuple[int, ...], centres: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Dark balls with soft edges in noise."""
    volume = np.random.default_rng(0).normal(0, NOISE, shape)
    grid = np.moveaxis(np.indices(shape), 0, -1)
    for centre, kind in zip(centres, classes, strict=True):
        distance = np.sqrt(np.square(grid - centre).sum(axis=-1))
        volume -= (1 - np.tanh(distance - RADII[kind])) / 2
    return volume.astype(np.float32)


VOXELS = balls(SHAPE, CENTRES, CLASSES)
TOMOGRAM = Tomogram(VOXELS, (SPACING,) * 3, run="r")
TRUTH = Picks(CENTRES * SPACING, CLASSES)


@dataclass(frozen=True)
class Trained:
    """A narrowed preset that has learnt the volume."""

    name: str
    config: Config
    module: nn.Module

    def engine(self) -> Engine:
        stride = output_stride(self.config.model.network)
        return at_heatmap_stride(make_engine(self.module, self.config.infer, stride))

    def candidates(self, tomogram: Tomogram, **infer: Any) -> Candidates:
        settings = replace(self.config.infer, **infer)
        engines = [self.engine()]
        return find_candidates(tomogram, engines, TYPES, settings, self.config.candidates)[1]

    def best_f4(self) -> list[float]:
        """By class, of what it finds in the volume that it was trained on."""
        blend = Blend(np.ones(2), np.zeros(2), np.zeros(2))
        picks = scored_picks(self.candidates(TOMOGRAM), blend, TYPES)
        hits = hits_per_class({"r": picks}, {"r": TRUTH}, TYPES)
        return [float(h.curve().fbeta().max(initial=0)) for h in hits]


@pytest.fixture(scope="module", params=sorted(NARROW))
def trained(request: pytest.FixtureRequest) -> Trained:
    name: str = request.param
    config = narrowed(preset(name), name)
    config.train.optimizer = replace(
        config.train.optimizer, steps=STEPS.get(name, 80), batch_size=1,
        learning_rate=RATES.get(name, 5e-3), warmup=0.05, ema_decay=0.98, accelerator="cpu",
        precision="fp32",
    )  # fmt: skip
    config.infer = replace(config.infer, engine="torch", precision="fp32", accelerator="cpu")
    sample = training_run(TOMOGRAM, TRUTH, TYPES, config.target)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for seed in range(3):  # so short a training may miss a ball, differently on each processor
        config.train.optimizer = replace(config.train.optimizer, seed=seed)
        with tempfile.TemporaryDirectory() as work:
            module, _ = train_detector(
                [sample], len(TYPES), config.model, config.loss, PASTED, config.train, Path(work),
                target=config.target,
            )  # fmt: skip
        found = Trained(name, config, module)
        if found.best_f4() == [1.0, 1.0]:
            break
    torch.set_num_threads(before)
    return found


def test_every_preset_is_tested_here() -> None:
    assert sorted(NARROW) == sorted(group_options()["model"])


def test_it_learns_one_volume_by_heart(trained: Trained) -> None:
    assert trained.best_f4() == [1.0, 1.0]


def test_shape_and_stride_are_as_it_says(trained: Trained) -> None:
    engine = make_engine(
        trained.module, trained.config.infer, output_stride(trained.config.model.network)
    )
    edge = engine.geometry.multiple
    tile = torch.randn(1, 1, edge, 2 * edge, edge)
    with torch.no_grad():
        out = trained.module(tile)
    assert engine.geometry.n_classes == len(TYPES)
    assert out.shape == (1, 2, *(n // engine.output_stride for n in tile.shape[2:]))


def test_a_tile_is_the_same_alone_and_in_a_batch(trained: Trained) -> None:
    edge = 2 * trained.engine().geometry.multiple
    tiles = torch.randn(3, 1, edge, edge, edge)
    with torch.no_grad():
        together = trained.module(tiles)
        alone = torch.cat([trained.module(tile[None]) for tile in tiles])
    # fp32 sums in another order for another batch; whatever leaks between tiles is far larger
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_saved_and_loaded_it_answers_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    spec = detector_spec(trained.config.model, TYPES, SPACING, ["r"])
    save_network(tmp_path / "detector", trained.module, spec)
    again = replace(trained, module=load_network(tmp_path / "detector", "detector.networks")[0])
    assert np.array_equal(again.engine()(VOXELS[None, None]), trained.engine()(VOXELS[None, None]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_particle_stays_where_it_is_wherever_it_lies_in_its_tiles(
    trained: Trained, axis: int
) -> None:
    """One ball, repeated in a row through tiles' middles, edges and overlaps.

    A row, since instance norms see the whole tile: every tile has to be as full as the next.
    """
    engine = trained.engine()
    along = np.eye(3, dtype=int)[axis]
    multiple = engine.geometry.multiple
    field = max(engine.receptive_field[axis], 2 * multiple)
    overlap = round_up(min(field, 4 * PERIOD), PERIOD)
    shape = np.where(along, PERIOD, 2 * PERIOD)
    centre = shape / 2 + [0.3, 0.6, 0.4]
    one = balls(tuple(shape), centre[None], np.array([1]))
    n = 4 * overlap // PERIOD
    row = np.concatenate([one] * n, axis=axis)
    seen = []
    for moved in {0, PERIOD // 2 // multiple * multiple}:
        found = trained.candidates(
            Tomogram(np.roll(row, moved, axis), (SPACING,) * 3, run="r"),
            tile=np.where(along, 2 * overlap, 2 * PERIOD).tolist(),
            overlap=(along * overlap).tolist(),
        )
        centres = centre + along * (PERIOD * np.arange(n)[:, None] + moved)
        inside = np.abs(centres[:, axis] - row.shape[axis] / 2) <= overlap
        for place in centres[inside]:
            distance = np.linalg.norm(found.positions / SPACING - place, axis=1)
            near = np.flatnonzero(distance < TYPES[1].radius / SPACING / 2)  # hits
            assert len(near), f"no candidate at voxel {place}"
            best = near[found.stage1[near, 1].argmax()]
            seen.append(found.positions[best] / SPACING - place)
    assert len(seen) > 2
    assert np.ptp(seen, axis=0).max() < MOVES.get(trained.name, 0.05)

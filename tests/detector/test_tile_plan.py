"""Tiles by what networks can take along each axis, and no deeper than they know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cryo_pick.config import compose
from cryo_pick.errors import ConfigError
from detector.engine import NetworkGeometry
from detector.infer import predict_heatmap
from detector.network_geometry import measure_geometry
from detector.parts import output_stride
from detector.settings import InferSettings
from detector.tile_plan import plan_tiles
from detector.tiles import Shape
from detector.train import build_detector
from tests.detector.narrow import narrowed, preset

SHAPE = (48, 320, 320)


class Flat:
    """Answers each voxel with itself; takes tiles as a network does that pools depth by 16."""

    name, output_stride, batch, keeps_buffers = "flat", 1, 1, False
    receptive_field = (100, 40, 40)

    def __init__(self, multiple: int = 32, depth_multiple: int | None = 16) -> None:
        self.geometry = NetworkGeometry(1, multiple, 50.0, depth_multiple)
        self.shapes: set[Shape] = set()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        d, h, w = batch.shape[2:]
        self.shapes.add((d, h, w))
        return batch.copy()


def plan(engine: Flat, **settings: Any) -> Any:
    return plan_tiles(SHAPE, [engine], InferSettings(**settings), 1, 1)


@pytest.mark.parametrize("name", ["deck16", "deck32"])
@pytest.mark.parametrize("multiple", [(32, 16), (16, None), (4, None)])
def test_the_decks_tilings_suit_every_network(name: str, multiple: tuple[int, int | None]) -> None:
    settings = compose([f"infer={name}"]).infer
    found = plan_tiles(SHAPE, [Flat(*multiple)], settings, 1, 1)
    assert list(found.tile) == settings.tile
    for starts, tile, overlap in zip(found.starts, found.tile, settings.overlap or (), strict=True):
        assert np.diff(starts).max() <= tile - overlap


def test_tiles_are_as_deep_as_the_network_knows() -> None:
    found = plan(Flat(), depth=16)
    assert found.tile[0] == 16
    assert found.starts[0] == [0, 8, 16, 24, 32]  # half of each tile is shared
    assert found.tile[1:] == (320, 320)
    assert plan(Flat(), depth=16, overlap=[0, 0, 0]).starts[0] == [0, 16, 32]
    assert plan(Flat(), depth=20).tile[0] == 32  # what it can take
    assert plan(Flat(), depth=16, memory="50MB").tile[1] < 320


def test_a_given_tile_that_takes_more_than_the_memory_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert plan(Flat(), tile=[32, 320, 320], memory="1GB").tile == (32, 320, 320)
    assert not caplog.text
    assert plan(Flat(), tile=[32, 320, 320], memory="100MB").tile == (32, 320, 320)
    assert (
        "tiles of 32x320x320 voxels take about 0.23 GB, more than infer.memory=100MB" in caplog.text
    )


def test_depth_is_no_limit_where_there_is_no_more_or_a_tile_is_given() -> None:
    assert plan(Flat(), depth=48) == plan(Flat())
    assert plan(Flat(), depth=16, tile=[32, 64, 64]).tile == (32, 64, 64)


def test_an_overlap_as_deep_as_a_tile_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"less than the depth of a tile, 16, along z, but got"):
        plan(Flat(), depth=16, overlap=[16, 0, 0])


def test_shallow_tiles_answer_every_voxel() -> None:
    volume = np.random.default_rng(0).random((37, 50, 66), np.float32)
    engine = Flat()
    heatmap = predict_heatmap(volume, [engine], InferSettings(depth=16), 1, 1)
    np.testing.assert_allclose(heatmap.values[0], volume, atol=2**-11)  # float16, up to 1
    assert {shape[0] for shape in engine.shapes} == {16}


@pytest.mark.parametrize(
    ("name", "multiples"),
    [("convnext_nano_25d", (16, 32, 32)), ("shuffle_unet", (8, 8, 8))],
)
def test_the_depth_that_a_network_can_take_is_measured(name: str, multiples: Shape) -> None:
    config = narrowed(preset(name), name)
    module = build_detector(config.model, 2, 0)
    geometry = measure_geometry(module, output_stride(config.model.network))
    assert geometry.multiples == multiples


def test_the_preset_that_pools_depth_to_one_plane_keeps_to_what_it_was_trained_on() -> None:
    config = compose(["model=convnext_nano_25d"])
    assert config.infer.depth == config.train.crop[0] == 16
    assert config.infer.tile is not None
    assert config.infer.tile[0] == config.infer.depth
    found = plan_tiles((184, 630, 630), [Flat()], config.infer, 1, 1)
    assert found.tile == (16, 352, 352)
    assert found.evaluations < 1.7
    for words in (["infer=deck32"], ["infer.tile=[32,128,128]"]):
        assert compose(["model=convnext_nano_25d", *words]).infer.tile == [32, 128, 128]

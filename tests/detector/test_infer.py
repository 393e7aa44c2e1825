import dataclasses
import logging
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryo_pick.errors import ConfigError, InputError
from detector.engine import NetworkGeometry
from detector.infer import heatmap_slabs, predict_heatmap, predict_tile
from detector.read_tiles import read_tile
from detector.settings import InferSettings
from detector.slab import (
    PLANES_AT_ONCE,
    FileSlab,
    MemorySlab,
    add_weighted,
    cut_to_unit,
    planes_at_once,
)
from detector.tile_plan import plan_tiles
from detector.views import FLIPS, SEVEN, VIEWS


@pytest.fixture(scope="module", autouse=True)
def _three_threads() -> Iterator[None]:
    """Whatever the number of processors, and of threads that the tests are given."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cryo_pick.threads.compute_threads", lambda: 3)
        yield


class AverageEngine:
    """A network whose answer is known: the mean over each cell's voxels, times 1, 2, ... k."""

    name = "average"
    keeps_buffers = False

    def __init__(self, stride=2, multiple=8, n_classes=1, batch=1, bytes_per_voxel=40.0):
        self.output_stride = stride
        self.batch = batch
        self.geometry = NetworkGeometry(n_classes, multiple, bytes_per_voxel)
        self.receptive_field = (9, 9, 9)
        self.shapes = []

    def __call__(self, batch):
        self.shapes.append(batch.shape)
        s = self.output_stride
        b, _, d, h, w = batch.shape
        assert d % self.geometry.multiple == h % self.geometry.multiple == 0
        cells = batch.reshape(b, 1, d // s, s, h // s, s, w // s, s).mean((3, 5, 7))
        return (
            cells * np.arange(1, self.geometry.n_classes + 1, dtype=np.float32)[:, None, None, None]
        )


class PlaceEngine(AverageEngine):
    """Answers the place of each cell within its tile, so that flips and tiles show."""

    def __call__(self, batch):
        cells = super().__call__(batch)
        ramp = np.linspace(0, 0.1, cells.shape[-1], dtype=np.float32)
        return cells + ramp


def cell_means(volume, stride):
    """Mean over each cell; the far ends mirrored as :func:`read_tile` does."""
    short = [-n % stride for n in volume.shape]
    volume = np.pad(volume, [(0, s) for s in short], "reflect")
    d, h, w = (n // stride for n in volume.shape)
    return volume.reshape(d, stride, h, stride, w, stride).mean((1, 3, 5))


def settings_of(tile=(16, 16, 16), overlap=(8, 8, 8), **changes):
    return InferSettings(tile=tile and list(tile), overlap=overlap and list(overlap), **changes)


# float16 holds values up to 1 to within 0.00025; the sums before it are good to 1e-5
HALF = 3e-4


@given(
    st.tuples(*[st.integers(1, 45)] * 3),
    st.tuples(*[st.sampled_from([1, 8, 16, 20, 24, 64])] * 3),
    st.tuples(*[st.sampled_from([0, 2, 5, 7])] * 3),
    st.sampled_from([1, 2, 4]),
)
@settings(max_examples=40, deadline=None)
def test_an_identity_network_returns_the_volume_of_any_shape(shape, tile, overlap, stride):
    volume = np.random.default_rng(0).random(shape, np.float32)
    engine = AverageEngine(stride, multiple=4)
    tile = tuple(max(t, 16) for t in tile)
    heatmap = predict_heatmap(volume, [engine], settings_of(tile, overlap), 1, stride)
    assert heatmap.stride == stride
    assert heatmap.values.shape == (1, *(-(-n // stride) for n in shape))
    np.testing.assert_allclose(heatmap.values[0], cell_means(volume, stride), atol=HALF)


@pytest.mark.parametrize("views", sorted(VIEWS))
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_views_are_mirrored_back(views, batch):
    volume = np.random.default_rng(1).random((19, 21, 37), np.float32)
    engine = AverageEngine(batch=batch)
    heatmap = predict_heatmap(volume, [engine], settings_of(views=views), 1, 2)
    np.testing.assert_allclose(heatmap.values[0], cell_means(volume, 2), atol=HALF)
    n_tiles = 2 * 2 * 4
    assert sum(shape[0] for shape in engine.shapes) == views * n_tiles
    together = 5 if views == 7 else views  # its two turned sideways stand apart
    assert max(shape[0] for shape in engine.shapes) == min(together, batch)
    assert {shape[3] - shape[4] for shape in engine.shapes} == {0}


def test_all_views_together_are_the_same_for_a_mirrored_tile():
    tile = np.random.default_rng(2).random((8, 8, 16), np.float32)
    engine = PlaceEngine()
    answer = predict_tile(tile, [engine], 8)
    for view in FLIPS:
        mirrored = predict_tile(np.ascontiguousarray(view.of(tile)), [engine], 8)
        np.testing.assert_allclose(view.back(mirrored), answer, atol=1e-6)
    assert not np.allclose(predict_tile(tile, [engine], 1), answer, atol=1e-3)


def test_the_seven_views_are_four_turns_and_three_mirrors():
    tile = np.random.default_rng(3).random((4, 6, 6), np.float32)
    seen = [view.of(tile) for view in SEVEN]
    assert len({s.tobytes() for s in seen}) == 7
    np.testing.assert_array_equal(seen[0], tile)
    np.testing.assert_array_equal(seen[2], tile[:, ::-1, ::-1])
    np.testing.assert_array_equal(seen[1], np.stack([np.rot90(plane) for plane in tile]))
    for view, one in zip(SEVEN, seen, strict=True):
        np.testing.assert_array_equal(view.back(one[None])[0], tile)


def test_an_ensemble_is_the_mean_and_every_class_has_its_channel():
    volume = np.random.default_rng(3).random((16, 16, 24), np.float32) * 0.2
    one, two = AverageEngine(n_classes=2), PlaceEngine(n_classes=2)
    alone = [predict_heatmap(volume, [e], settings_of(), 2, 2).values for e in (one, two)]
    both = predict_heatmap(volume, [one, two], settings_of(), 2, 2).values
    np.testing.assert_allclose(both, (alone[0] + alone[1]) / 2, atol=HALF)
    np.testing.assert_allclose(alone[0][1], 2 * alone[0][0], atol=HALF)


def test_values_are_cut_to_0_and_1():
    volume = np.linspace(-3, 3, 16**3, dtype=np.float32).reshape(16, 16, 16)
    values = predict_heatmap(volume, [AverageEngine()], settings_of(), 1, 2).values
    assert values.min() == 0
    assert values.max() == 1
    np.testing.assert_allclose(values[0], np.clip(cell_means(volume, 2), 0, 1), atol=HALF)


def test_the_order_of_the_tiles_changes_nothing():
    rng = np.random.default_rng(4)
    parts = [rng.standard_normal((2, 4, 5, 6)).astype(np.float32) * 2 for _ in range(8)]
    weights = [tuple(rng.random(n).astype(np.float32) / 8 for n in (4, 5, 6)) for _ in parts]
    results = []
    for order in (range(8), reversed(range(8)), rng.permutation(8)):
        sums = np.zeros((2, 4, 5, 6), np.float32)
        for i in order:
            add_weighted(sums, parts[i].copy(), weights[i])
        results.append(sums)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    exact = sum(
        p.astype(float) * np.einsum("i,j,k->ijk", *(x.astype(float) for x in w))
        for p, w in zip(parts, weights, strict=True)
    )
    np.testing.assert_allclose(results[0], exact, atol=8 * 2.0**-20)


def test_a_value_beyond_the_limit_is_cut_and_nan_stays():
    values = np.array([[[[np.nan, np.inf, -1e9, 3.0, 2.0**-21]]]], np.float32)
    sums = np.ones_like(values)
    add_weighted(sums, values, tuple(np.ones(n, np.float32) for n in values.shape[1:]))
    # the last one lies between two steps and goes to the even one, 0
    np.testing.assert_array_equal(sums.ravel(), [np.nan, 16, -14, 4, 1])


def test_few_planes_at_once_where_they_are_large():
    assert planes_at_once(6, 315, 315) == PLANES_AT_ONCE
    assert planes_at_once(6, 630, 630) == 3  # 9.5 MB each
    assert planes_at_once(60, 2000, 2000) == 1


@pytest.mark.parametrize("size", [1, 3 * 4 * 24 * 24 * 2])
def test_how_many_planes_leave_together_changes_nothing(monkeypatch, size):
    volume = np.random.default_rng(0).normal(size=(40, 24, 24)).astype(np.float32)
    for kind in (MemorySlab, FileSlab):
        taken = []
        for limit in (2**25, size):
            monkeypatch.setattr("detector.slab.BYTES_AT_ONCE", limit)
            with kind(1, (16, 24, 24)) as slab:
                ones = (np.ones(16, np.float32), *[np.ones(24, np.float32)] * 2)
                slab.add(0, 0, volume[None, :16].copy(), ones)
                parts = [part.copy() for _, part in slab.take(10)]
                slab.add(0, 0, volume[None, 10:26].copy(), ones)
                parts += [part.copy() for _, part in slab.take(16)]
            taken.append(np.concatenate(parts, axis=1))
        np.testing.assert_array_equal(*taken)


@pytest.mark.parametrize("kind", [MemorySlab, FileSlab])
def test_planes_of_a_slab_in_memory_can_leave_together(kind):
    values = np.random.default_rng(0).random((2, 20, 6, 5), np.float32)
    with kind(2, (20, 6, 5)) as slab:
        slab.add(0, 0, values, tuple(np.ones(n, np.float32) for n in (20, 6, 5)))
        parts = [(first, part.copy()) for first, part in slab.take(19, together=True)]
    assert len(parts) == (1 if kind is MemorySlab else 3)
    left = np.concatenate([part for _, part in parts], axis=1)
    np.testing.assert_allclose(left, values[:, :19], atol=2.0**-20)


def test_heatmaps_are_cut_to_0_and_1():
    values = np.array([-1e30, -0.5, -0.0, 1e-30, 0.5, 1.0, 1.5, 1e30], np.float32)
    volume = np.tile(values, (2, 3, 4, 1))
    assert cut_to_unit(volume)
    np.testing.assert_array_equal(volume, np.tile(np.clip(values, 0, 1), (2, 3, 4, 1)))
    for bad in (np.nan, np.inf, -np.inf):
        volume[1, 2, 3, 4] = bad
        assert not cut_to_unit(volume)


@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(*[st.sampled_from([16, 24])] * 3),
    st.tuples(*[st.sampled_from([0, 4, 8])] * 3),
)
@settings(max_examples=30, deadline=None)
def test_a_slab_in_a_file_is_one_in_memory(shape, tile, overlap):
    volume = np.random.default_rng(7).random(shape, np.float32)
    engines = [PlaceEngine(multiple=4, n_classes=2)]
    plan = plan_tiles(shape, engines, settings_of(tile, overlap), 2, 2)
    results = []
    for on_disk in (False, True):
        values = np.full((2, *plan.cells), np.nan, np.float32)
        chosen = dataclasses.replace(plan, on_disk=on_disk)
        for first, slab in heatmap_slabs(volume, engines, chosen, 1):
            values[:, first : first + slab.shape[1]] = slab
        results.append(values)
    assert np.array_equal(*results)
    assert np.isfinite(results[0]).all()


def test_a_slab_goes_to_the_disk_where_it_would_make_tiles_small():
    engine = AverageEngine(bytes_per_voxel=20.0, n_classes=6, multiple=16)
    flat = plan_tiles((96, 128, 128), [engine], InferSettings(memory="1GB"), 6, 2)
    assert not flat.on_disk
    assert flat.n_tiles == 1
    wide = plan_tiles((400, 1600, 1600), [engine], InferSettings(memory="300MB"), 6, 2)
    assert wide.on_disk
    assert wide.evaluations < 3


def test_the_same_input_gives_the_same_bits():
    volume = np.random.default_rng(5).random((20, 30, 40), np.float32)
    first = predict_heatmap(volume, [PlaceEngine()], settings_of(views=4), 1, 2).values
    again = predict_heatmap(volume, [PlaceEngine()], settings_of(views=4), 1, 2).values
    assert np.array_equal(first, again)


class LazyVolume:
    """Slices like an array and counts what is read."""

    def __init__(self, volume):
        self.volume = volume
        self.shape = volume.shape
        self.largest = 0

    def __getitem__(self, index):
        part = self.volume[index]
        self.largest = max(self.largest, part.size)
        return part


def test_a_lazy_volume_is_read_tile_by_tile_and_normalised():
    volume = np.random.default_rng(6).integers(0, 100, (20, 40, 40)).astype(np.int16)
    lazy = LazyVolume(volume)
    done = []
    heatmap = predict_heatmap(
        lazy,
        [AverageEngine()],
        settings_of(),
        1,
        2,
        normalise=lambda tile: tile / np.float32(100),
        progress=lambda n, total: done.append((n, total)),
    )
    np.testing.assert_allclose(heatmap.values[0], cell_means(volume / 100, 2), atol=HALF)
    assert lazy.largest <= 16**3
    assert done == [(i + 1, 32) for i in range(32)]


def test_a_tile_past_the_far_end_is_mirrored():
    volume = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    tile = read_tile(volume, (0, 0, 1), (2, 2, 4))
    np.testing.assert_array_equal(tile[0, 0], [1, 2, 1, 2])
    np.testing.assert_array_equal(tile[1], tile[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_in_the_volume_is_refused_with_its_place(bad):
    volume = np.zeros((16, 16, 40), np.float32)
    volume[3, 4, 39] = bad
    with pytest.raises(InputError, match=r"1 of 4096 voxels from z, y, x = \(0, 0, 24\)"):
        predict_heatmap(volume, [AverageEngine()], settings_of(), 1, 2)


def test_nan_from_the_network_is_refused():
    class Broken(AverageEngine):
        def __call__(self, batch):
            return super().__call__(batch) * np.float32(np.nan)

    with pytest.raises(InputError, match="the network answers NaN"):
        predict_heatmap(np.zeros((8, 8, 8), np.float32), [Broken()], settings_of(), 1, 2)


def test_memory_is_obeyed_and_the_plan_is_logged(caplog):
    engine = AverageEngine(bytes_per_voxel=100.0)
    with caplog.at_level(logging.INFO):
        plan = plan_tiles((100, 200, 300), [engine], InferSettings(memory="90MB"), 1, 2)
    assert np.prod(plan.tile) * 100 < 50e6
    assert plan.n_tiles > 1
    assert plan.evaluations < 2
    assert f"{plan.n_tiles} tile(s)" in caplog.text
    whole = plan_tiles((100, 200, 300), [engine], InferSettings(memory="2GB"), 1, 2)
    assert whole.tile == (104, 200, 304)
    assert whole.n_tiles == 1


def test_several_networks_that_keep_their_memory_share_it():
    engines = [AverageEngine(bytes_per_voxel=100.0) for _ in range(4)]
    shape, asked = (100, 200, 300), InferSettings(memory="1.4GB")
    assert plan_tiles(shape, engines, asked, 1, 2).n_tiles == 1
    for engine in engines:
        engine.keeps_buffers = True
    assert plan_tiles(shape, engines, asked, 1, 2).n_tiles > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": 3}, r"infer\.views: expected one of 1, 2, 4, 7, 8, but got 3"),
        ({"tile": [16, 16]}, r"infer\.tile: expected three numbers from 1, but got \[16, 16\]"),
        ({"tile": [16, 0, 16]}, r"infer\.tile"),
        ({"overlap": [0, -1, 0]}, r"infer\.overlap: expected three numbers from 0"),
        ({"tile": [16] * 3, "overlap": [16] * 3}, r"infer\.overlap: expected less than the tile"),
        ({"memory": "lots"}, r"infer\.memory: Expected an amount of memory"),
        ({"memory": "1KB"}, r"infer\.memory=1KB: no tile"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes, message):
    volume = np.zeros((40, 40, 40), np.float32)
    with pytest.raises(ConfigError, match=message):
        predict_heatmap(volume, [AverageEngine()], InferSettings(**changes), 1, 2)


def test_engines_that_do_not_fit_are_refused():
    volume = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(ValueError, match="at least one engine"):
        predict_heatmap(volume, [], InferSettings(), 1, 2)
    with pytest.raises(ValueError, match="for 2 classes at stride 2, but average is for 1"):
        predict_heatmap(volume, [AverageEngine()], InferSettings(), 2, 2)

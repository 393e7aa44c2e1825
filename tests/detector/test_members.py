import numpy as np
import pytest

from detector.engine import NetworkGeometry
from detector.heatmap import heatmap_to_voxel_index
from detector.infer import predict_heatmap
from detector.members import at_heatmap_stride, coarsen, member_engines
from detector.peaks import find_peaks
from detector.quantiles import fit_table, match_scores
from detector.settings import InferSettings


class FakeEngine:
    """Says a power of the volume, at its stride."""

    name, batch, keeps_buffers, receptive_field = "fake", 1, False, (4, 4, 4)

    def __init__(self, stride, power=1.0):
        self.output_stride, self.power = stride, power
        self.geometry = NetworkGeometry(2, 4, 10.0)

    def __call__(self, batch):
        values = coarsen(np.repeat(batch, 2, 1), self.output_stride)
        return np.clip(values, 0, 1) ** self.power


VOLUME = np.random.default_rng(0).random((16, 16, 16)).astype(np.float32)


def whole(engines):
    return predict_heatmap(VOLUME, engines, InferSettings(), 2, engines[0].output_stride)


def test_coarse_cells_are_means_of_blocks_and_have_their_centres():
    values = np.zeros((1, 8, 8, 8), np.float32)
    values[0, 3, 4, 6] = 1
    coarse = coarsen(values, 2)
    assert coarse.shape == (1, 4, 4, 4)
    assert coarse[0, 1, 2, 3] == pytest.approx(1 / 8)
    assert coarse.sum() == pytest.approx(1 / 8)
    grid = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
    blob = np.exp(-((grid - [11.2, 12.7, 10.4]) ** 2).sum(-1) / (2 * 3.0**2))[None]
    (place,) = find_peaks(coarsen(blob, 2), 0.1, 3).places
    np.testing.assert_allclose(heatmap_to_voxel_index(place, 2), [11.2, 12.7, 10.4], atol=0.02)
    assert np.array_equal(coarsen(values, 1), values)
    assert coarsen(np.ones((1, 5, 5, 5)), 2).shape == (1, 3, 3, 3)
    assert (coarsen(np.ones((1, 5, 5, 5)), 2) == 1).all()


def test_the_mean_of_members_is_weighted_and_at_the_coarser_stride():
    members = member_engines([FakeEngine(1), FakeEngine(2, 3.0)], [3.0, 1.0], None, None)
    found = whole(members)
    assert found.stride == 2
    mean = coarsen(np.repeat(VOLUME[None], 2, 0), 2)
    np.testing.assert_allclose(found.values, 0.75 * mean + 0.25 * mean**3, atol=1e-3)


def test_matched_members_speak_with_the_references_scale():
    engines = [FakeEngine(2), FakeEngine(2, 4.0)]
    tables = [fit_table([whole([e]).values]) for e in engines]
    matched = whole(member_engines(engines, [1, 1], tables, tables[0]))
    # The second says the fourth power of what the first says: the same after matching.
    np.testing.assert_allclose(matched.values, whole(engines[:1]).values, atol=0.01)
    plain = whole(member_engines(engines, [1, 1], None, None))
    assert np.abs(plain.values - matched.values).max() > 0.1


def test_a_member_left_out_does_not_change_what_the_others_say():
    engines = [FakeEngine(2), FakeEngine(2, 4.0), FakeEngine(2, 0.5)]
    tables = [fit_table([whole([e]).values]) for e in engines]
    alone = [
        match_scores(whole([e]).values, t, tables[0]) for e, t in zip(engines, tables, strict=True)
    ]
    all_three = whole(member_engines(engines, [1, 1, 1], tables, tables[0])).values
    two = whole(member_engines(engines[:2], [1, 1], tables[:2], tables[0])).values
    np.testing.assert_allclose(all_three, np.mean(alone, 0), atol=2e-3)
    np.testing.assert_allclose(two, np.mean(alone[:2], 0), atol=2e-3)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0]])
def test_weights_are_one_each_and_above_zero(weights):
    with pytest.raises(ValueError, match="2 weights above 0"):
        member_engines([FakeEngine(2), FakeEngine(2)], weights, None, None)


def test_an_engine_of_every_voxel_answers_for_cells():
    fine = FakeEngine(1)
    coarse = whole([at_heatmap_stride(fine)])
    assert coarse.stride == 2
    np.testing.assert_allclose(coarse.values, coarsen(whole([fine]).values, 2), atol=1e-3)
    for stride in (2, 4):
        engine = FakeEngine(stride)
        assert at_heatmap_stride(engine) is engine

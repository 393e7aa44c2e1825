"""A heatmap that comes plane by plane gives exactly what the whole one gives."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleType, ParticleTypes
from detector.candidates import METHODS, candidates_of_peaks, heatmap_candidates
from detector.components import find_components
from detector.heatmap import Heatmap
from detector.heatmap_file import HeatmapFile
from detector.peaks import find_peaks
from detector.peaks_torch import find_peaks_on
from detector.settings import CandidatesSettings
from detector.stream import RollingPeaks, peak_stream


@pytest.fixture(scope="module", autouse=True)
def _three_threads() -> Iterator[None]:
    """Whatever the number of processors, and of threads that the tests are given."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cryo_pick.threads.compute_threads", lambda: 3)
        yield


cases = st.tuples(
    st.tuples(st.integers(1, 2), st.integers(1, 14), st.integers(1, 7), st.integers(1, 7)),
    st.lists(st.integers(1, 13), max_size=6, unique=True),
    st.sampled_from([3, 5, 7]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)


def slabs(values, cuts):
    edges = [0, *sorted(c for c in cuts if c < values.shape[1]), values.shape[1]]
    return [values[:, a:b] for a, b in itertools.pairwise(edges)]


def noise(shape, seed, plateaus):
    values = np.random.default_rng(seed).random(shape, np.float32)
    return (np.round(values * 3) / 3 if plateaus else values).astype(np.float16)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_rolling_peaks_are_those_of_the_whole(case):
    shape, cuts, kernel, plateaus, seed = case
    values = noise(shape, seed, plateaus)
    rolling = RollingPeaks(0.3, kernel, shape[0], shape[1:])
    for slab in slabs(values, cuts):
        rolling.add(slab)
    for mine, whole in zip(rolling.finish(), find_peaks(values, 0.3, kernel), strict=True):
        np.testing.assert_array_equal(mine, whole)  # to the last bit, sub-voxel shifts included


@given(cases)
@settings(max_examples=40, deadline=None)
def test_pooled_peaks_are_those_of_the_block_search(case):
    shape, cuts, kernel, plateaus, seed = case
    values = noise(shape, seed, plateaus)
    whole = find_peaks(values, 0.3, kernel)
    for mine, theirs in zip(
        find_peaks_on(torch.device("cpu"), values, 0.3, kernel), whole, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    rolling = RollingPeaks(0.3, kernel, shape[0], shape[1:], torch.device("cpu"))
    for slab in slabs(values, cuts):
        rolling.add(slab)
    for mine, theirs in zip(rolling.finish(), whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_pooled_peaks_want_numbers():
    values = np.zeros((1, 4, 4, 4), np.float32)
    values[0, 1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        find_peaks_on(torch.device("cpu"), values, 0.5, 3)


@given(cases)
@settings(max_examples=40, deadline=None)
def test_components_are_those_of_the_whole(case):
    shape, cuts, _, plateaus, seed = case
    values = noise(shape, seed, plateaus)
    stream = peak_stream(CandidatesSettings(method="components", threshold=0.6), shape[0],
                         shape[1:], 2)  # fmt: skip
    for slab in slabs(values, cuts):
        stream.add(slab)
    found, whole = stream.finish(), find_components(values, 0.6, 2)
    for mine, theirs in zip(found, whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for index, volume in enumerate(values):
        labels, n = ndimage.label(volume >= np.float16(0.6), np.ones((3, 3, 3)))
        large = np.count_nonzero(np.bincount(labels.ravel(), minlength=n + 1)[1:] >= 2)
        assert np.count_nonzero(found.classes == index) == large


@pytest.mark.parametrize("method", METHODS)
def test_candidates_from_a_file_are_those_from_memory(method, tmp_path):
    rng = np.random.default_rng(0)
    values = ndimage.gaussian_filter(rng.random((3, 30, 24, 28)), (0, 1, 1, 1)).astype(np.float16)
    types = ParticleTypes(tuple(ParticleType(n, i + 1, 60.0) for i, n in enumerate("abc")))
    asked = CandidatesSettings(method=method, threshold=0.55, kernel=5, merge_distance=50.0)
    spacing, origin = (9.0, 10.0, 11.0), (-4.0, 3.0, 0.5)
    whole = heatmap_candidates(Heatmap(values, 2), spacing, origin, asked, types)
    stream = peak_stream(asked, 3, values.shape[1:], 2)
    with HeatmapFile(3, values.shape[1:], tmp_path) as file:
        for first, slab in zip((0, 8, 9), slabs(values, (8, 9)), strict=True):
            file.write(first, slab)
            stream.add(slab)
        found = candidates_of_peaks(stream.finish(), file, 2, spacing, origin, asked, types)
        np.testing.assert_array_equal(file[:, 3:12, 2:5, 20:], values[:, 3:12, 2:5, 20:])
        np.testing.assert_array_equal(file[:], values)
        assert not list(tmp_path.iterdir())  # it has no name, so nothing can be left behind
    assert len(found) > 5
    np.testing.assert_array_equal(found.positions, whole.positions)
    np.testing.assert_array_equal(found.stage1, whole.stage1)


def test_planes_that_are_missing_are_noticed():
    rolling = RollingPeaks(0.5, 3, 1, (4, 4, 4))
    rolling.add(np.zeros((1, 3, 4, 4), np.float16))
    with pytest.raises(ValueError, match="Expected 4 planes, but got 3"):
        rolling.finish()


def test_a_heatmap_file_takes_boxes_only(tmp_path):
    with HeatmapFile(1, (2, 3, 4), tmp_path) as file, pytest.raises(IndexError, match="z0:z1"):
        file[0]


def test_settings_that_make_no_sense_are_refused():
    for changed in ({"threshold": 0.0}, {"method": "guess"}):
        with pytest.raises(ConfigError, match=r"candidates\."):
            peak_stream(CandidatesSettings(**changed), 1, (4, 4, 4), 2)

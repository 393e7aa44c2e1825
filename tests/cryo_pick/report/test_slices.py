import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from cryo_pick.objects import CZII_TYPES
from cryo_pick.picks import Picks
from cryo_pick.report import ReportData, write_slice_figure
from cryo_pick.report.gallery import choose_examples, draw_gallery, three_slices
from cryo_pick.report.orthoslices import bar_length, ortho_slices
from cryo_pick.report.slices import (
    busiest_index,
    data_url,
    on_slice,
    particle_sign,
    png_bytes,
    take_slice,
    to_grey,
)
from cryo_pick.tomogram import Tomogram
from metrics import cut


def decode(png: bytes) -> np.ndarray:
    """An independent reader: matplotlib's, which is Pillow's."""
    return np.round(imread(io.BytesIO(png), format="png") * 255).astype(np.uint8)


def from_url(url: str) -> np.ndarray:
    return decode(base64.b64decode(url.removeprefix("data:image/png;base64,")))


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 25)])
def test_png_holds_the_picture(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decode(png_bytes(picture)), picture)
    assert np.array_equal(from_url(data_url(picture)), picture)


def test_png_refuses_what_is_no_grey_picture() -> None:
    with pytest.raises(ValueError, match="uint8"):
        png_bytes(np.zeros((2, 2), np.float32))  # type: ignore[arg-type]


def test_grey_clips_extremes() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e6, -1e6]])
    grey = to_grey(values)
    assert (grey[0], grey[999]) == (0, 255)
    assert abs(int(grey[500]) - 128) < 3
    assert to_grey(np.ones((3, 3))).tolist() == [[128] * 3] * 3


@pytest.mark.parametrize(("volume_sign", "expected"), [(-1.0, 1.0), (1.0, -1.0)])
def test_particles_are_drawn_dark(
    data: ReportData, tomograms: dict[str, Tomogram], volume_sign: float, expected: float
) -> None:
    dark, truth = tomograms["R1"], data.truth["R1"]
    tomogram = dataclasses.replace(dark, volume=-volume_sign * dark.volume)
    assert particle_sign(tomogram, truth, data.types) == expected
    picture = three_slices(tomogram, truth.positions[0], 60.0, expected)
    p = picture.shape[0]
    middle = picture[p // 2 - 1 : p // 2 + 2, p // 2 - 1 : p // 2 + 2]
    assert middle.mean() < 60 < picture[:, :p].mean()


def test_no_picks_say_nothing_about_the_contrast(tomograms: dict[str, Tomogram]) -> None:
    assert particle_sign(tomograms["R1"], Picks.empty(), CZII_TYPES) == 1.0


def test_a_slice_is_the_mean_of_its_slab() -> None:
    volume = np.zeros((9, 4, 5), np.float32)
    volume[2:7, 1, 2] = 1.0
    tomogram = Tomogram(volume, (10.0,) * 3)
    picture = take_slice(tomogram, 0, 4, 1.0).picture
    assert picture.shape == (4, 5)
    assert np.unravel_index(int(picture.argmax()), picture.shape) == (1, 2)
    assert take_slice(tomogram, 2, 0, 1.0).picture.shape == (9, 4)


def test_the_busiest_plane_shows_the_most_picks(data: ReportData) -> None:
    tomogram = Tomogram(np.zeros((40, 10, 10), np.float32), (10.0,) * 3)
    picks = Picks(np.array([[100.0, 50, 50], [310, 50, 50], [320, 20, 20]]), np.zeros(3))
    z = busiest_index(picks, data.types, tomogram, 0)
    assert on_slice(picks, data.types, tomogram, 0, z).tolist() == [False, True, True]
    assert busiest_index(Picks.empty(), data.types, tomogram, 0) == 20


def test_a_patch_beyond_the_border_is_grey_there(tomograms: dict[str, Tomogram]) -> None:
    picture = three_slices(tomograms["R1"], np.array([0.0, 0.0, 0.0]), 60.0, 1.0)
    p = picture.shape[0]
    assert picture.shape == (p, 3 * p + 2)
    corner = picture[: p // 3, : p // 3]
    assert corner.min() == corner.max()


def test_a_large_particle_is_sampled_coarser(tomograms: dict[str, Tomogram]) -> None:
    assert three_slices(tomograms["R1"], np.full(3, 100.0), 450.0, 1.0).shape[0] <= 56


def test_examples_are_what_they_are_called(data: ReportData) -> None:
    examples = choose_examples(data, 3)
    assert {e.kind for e in examples} == {"true", "false", "missed"}
    for e in examples:
        same = data.truth[e.run].of_class(e.index).positions
        distance = np.linalg.norm(same - e.position, axis=1).min()
        reach = data.types[e.index].radius / 2
        threshold = data.stages[-1].thresholds[e.index]
        if e.kind == "missed":
            assert distance == 0
            assert e.score < threshold
        else:
            assert (distance <= reach) == (e.kind == "true")
            assert e.score >= threshold
    counts = {(e.index, e.kind): 0 for e in examples}
    for e in examples:
        counts[e.index, e.kind] += 1
    assert max(counts.values()) == 3


def test_the_gallery_opens_each_run_once(data: ReportData, tomograms: dict[str, Tomogram]) -> None:
    opened: list[str] = []

    def open_volume(run: str) -> Tomogram:
        opened.append(run)
        return tomograms[run]

    examples = choose_examples(data)
    gallery = draw_gallery(data, examples, open_volume)
    assert sorted(opened) == sorted({e.run for e in examples})
    drawn = [t for kinds in gallery for thumbs in kinds.values() for t in thumbs]
    assert len(drawn) == len(examples)
    assert all(from_url(t.image).shape == (t.height, t.width) for t in drawn)


def test_circles_lie_on_their_particles(data: ReportData, tomograms: dict[str, Tomogram]) -> None:
    tomogram, truth = tomograms["R1"], data.truth["R1"]
    drawing = ortho_slices(tomogram, truth, truth, data.types, known=True)
    assert (drawing.width, drawing.height) == (64 + 6 + 24, 64 + 6 + 24)
    seen = 0
    for view in drawing.views:
        picture = from_url(view.image)
        assert picture.shape == (view.height, view.width)
        for circle in view.circles:
            assert circle.kind == "true"
            column, row = circle.x - view.x - 0.5, circle.y - view.y - 0.5
            assert picture[round(row), round(column)] < 100  # particles are dark
            seen += 1
    assert seen > 6


def test_missed_and_false_are_told_apart(data: ReportData, tomograms: dict[str, Tomogram]) -> None:
    truth = data.truth["R1"]
    moved = Picks(truth.positions + 200.0, truth.classes)
    kinds = {
        c.kind
        for v in ortho_slices(tomograms["R1"], moved, truth, data.types, known=True).views
        for c in v.circles
    }
    assert "missed" in kinds
    unknown = ortho_slices(tomograms["R1"], truth, Picks.empty(), data.types, known=False)
    assert {c.kind for v in unknown.views for c in v.circles} == {"picked"}


@pytest.mark.parametrize(("width", "bar"), [(320, 50), (80, 20), (630, 100), (2, 1)])
def test_scale_bars_are_round(width: float, bar: int) -> None:
    assert bar_length(width) == bar


def test_the_figure_is_drawn(
    tmp_path: Path, data: ReportData, tomograms: dict[str, Tomogram]
) -> None:
    result = data.runs[0]
    path = tmp_path / "slice.png"
    thresholds = data.stages[0].thresholds
    write_slice_figure(
        path, tomograms["R1"], result.one_stage, thresholds, data.types, result.truth
    )
    drawn = imread(path)
    assert drawn.shape[1] == 1500
    # Circles are in the class colours: strongly coloured pixels are there, of both.
    blue = (drawn[..., 2] > drawn[..., 0] + 0.5).sum()
    orange = (drawn[..., 0] > drawn[..., 2] + 0.5).sum()
    assert blue > 100
    assert orange > 100
    nothing = tmp_path / "nothing.png"
    write_slice_figure(nothing, tomograms["R1"], result.one_stage, [np.inf] * 2, data.types)
    assert len(cut(result.one_stage, [np.inf] * 2)) == 0
    assert (imread(nothing)[..., 2] > imread(nothing)[..., 0] + 0.5).sum() == 0

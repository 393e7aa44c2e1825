"""Neuroglancer in a real browser: it shows the picks, and the slider takes them away."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from cryo_pick.cli import main
from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram
from cryo_pick.view.viewer import Scene, open_viewer
from tests.reference.browser import BROWSER, Page

TYPES = ParticleTypes((ParticleType("red", 1, 120.0, 1.0, (255, 0, 0, 255)),))


@pytest.fixture(scope="module")
def viewer():
    pytest.importorskip("neuroglancer")
    volume = np.random.default_rng(0).normal(0, 1, (32, 40, 48)).astype(np.float32)
    tomogram = Tomogram(volume, (10.0, 10.0, 10.0), run="TS_1")
    picks = Picks([[160.0, 200.0, 240.0]], [0], [0.6])
    heatmap = np.zeros((16, 20, 24), np.float32)
    scene = Scene(tomogram, TYPES, picks, np.array([0.5]), picks, heatmap, 2)
    return open_viewer(scene)


def red_pixels(page: Page, path: Path) -> int:
    from PIL import Image

    page.picture(path)
    with Image.open(path) as image:
        colors = np.asarray(image.convert("RGB")).astype(int)
    return int(((colors[..., 0] > 120) & (colors[..., 1:] < 90).all(-1)).sum())


def test_the_address_is_local_and_holds_a_token(viewer):
    address = viewer.get_viewer_url()
    assert address.startswith("http://127.0.0.1:")
    assert len(address.rstrip("/").rsplit("/", 1)[1]) >= 40


def test_the_state_has_every_layer(viewer):
    state = viewer.state.to_json()
    assert [x["name"] for x in state["layers"]] == ["tomogram", "heatmap", "red", "truth red"]
    assert state["position"] == [24, 20, 16]
    assert state["selectedLayer"]["layer"] == "red"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine")
def test_the_slider_hides_what_scores_less(viewer, tmp_path):
    pytest.importorskip("PIL")
    with viewer.txn() as state:
        state.layers["truth red"].visible = False
    with Page(tmp_path / "profile", (1000, 700)) as page:
        page.goto(viewer.get_viewer_url())
        page.until("document.querySelectorAll('.neuroglancer-rendered-data-panel').length >= 4")
        end = time.monotonic() + 40
        while (shown := red_pixels(page, tmp_path / "shown.png")) < 200:
            assert time.monotonic() < end, f"{shown} red pixels; {page.messages}"
            time.sleep(0.3)
        # The slider of the panel, which is open: one above the score of 0.6.
        moved = page.value(
            "(() => { const s = document.querySelector("
            "'.neuroglancer-side-panel input[type=range]');"
            " s.value = 0.8;"
            " for (const e of ['input', 'change']) s.dispatchEvent(new Event(e, {bubbles: true}));"
            " return [s.min, s.max, s.value]; })()"
        )
        assert moved == ["0", "1", "0.8"]
        end = time.monotonic() + 20
        while (left := red_pixels(page, tmp_path / "hidden.png")) > shown // 20:
            assert time.monotonic() < end, f"{left} of {shown} red pixels are left"
            time.sleep(0.3)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port):
    pytest.importorskip("neuroglancer")
    tomogram = Tomogram(np.zeros((4, 4, 4), np.float32), (10.0, 10.0, 10.0))
    with pytest.raises(ConfigError, match=str(port)):
        open_viewer(Scene(tomogram, TYPES, Picks.empty(), np.zeros(1)), port)


def test_a_run_that_is_not_there(tmp_path, capsys):
    assert main(["view", str(tmp_path), "--picks", str(tmp_path)]) == 3
    assert capsys.readouterr().out == ""

"""Neuroglancer on this machine: served on 127.0.0.1, below a path that nobody can guess."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector
from cryo_pick.errors import ConfigError
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.slices import particle_sign
from cryo_pick.tomogram import Tomogram
from cryo_pick.view.layers import (
    HEATMAP_SHADER,
    IMAGE_SHADER,
    MAX_SHOWN,
    contrast,
    dimensions,
    pick_layer,
    truth_layer,
)

log = logging.getLogger(__name__)

LOCAL = "127.0.0.1"
MAX_PORT = 65535


@dataclass(frozen=True, eq=False)
class Scene:
    """What is shown of one run.

    Attributes
    ----------
    tomogram
    types
    picks
        Scored, not cut.
    thresholds : (k,) array
        Where the sliders start.
    truth
        None: unknown.
    heatmap : (d', h', w') array in [0, 1], or None
        Of the best class.
    stride
        Voxels per cell of the heatmap.
    """

    tomogram: Tomogram
    types: ParticleTypes
    picks: Picks
    thresholds: NDArray[np.float64]
    truth: Picks | None = None
    heatmap: NDArray[np.floating] | None = None
    stride: int = 1


def open_viewer(scene: Scene, port: int = 0) -> Any:
    """Serve a scene; the viewer, whose `get_viewer_url()` says where.

    Raises
    ------
    ConfigError
        If neuroglancer is not installed, or the port is taken.
    """
    try:
        import neuroglancer
    except ImportError as error:
        raise ConfigError(
            "the viewer needs neuroglancer; install it with: pip install 'cryo-pick[view]'"
        ) from error
    if not 0 <= port <= MAX_PORT:
        raise ConfigError(f"--port {port}: expected a number from 0 to {MAX_PORT}")
    neuroglancer.set_server_bind_address(LOCAL, port)
    try:
        viewer = neuroglancer.Viewer()
    except OSError as error:
        raise ConfigError(f"--port {port}: {error}; choose another, or 0 for any") from error
    volume = scene.tomogram.array()
    known = scene.truth if scene.truth is not None and len(scene.truth) else _sure(scene)
    sign = particle_sign(scene.tomogram, known, scene.types)
    with viewer.txn() as state:
        state.dimensions = _space(scene.tomogram.voxel_spacing)
        state.layers.append(
            name="tomogram",
            layer=neuroglancer.ImageLayer(
                source=_local_volume(volume, scene.tomogram.voxel_spacing),
                shader=IMAGE_SHADER,
                shader_controls={"normalized": contrast(volume, sign)},
            ),
        )
        if scene.heatmap is not None:
            z, y, x = (s * scene.stride for s in scene.tomogram.voxel_spacing)
            grey = np.round(np.clip(scene.heatmap, 0, 1) * 255).astype(np.uint8)
            state.layers.append(
                name="heatmap",
                layer=neuroglancer.ImageLayer(
                    source=_local_volume(grey, (z, y, x)), shader=HEATMAP_SHADER
                ),
                visible=False,
            )
        for layer in annotation_layers(scene):
            state.layers.append(name=layer["name"], layer=layer)
        d, h, w = scene.tomogram.shape
        state.position = [w / 2, h / 2, d / 2]
        state.cross_section_scale = max(w, h) / 700
        state.projection_scale = 1.5 * max(w, h, d)
        state.layout = "4panel"
        first = next((t.name for k, t in enumerate(scene.types) if _of(scene.picks, k)), None)
        if first is not None:
            state.selected_layer.layer = first
            state.selected_layer.visible = True
    return viewer


def annotation_layers(scene: Scene) -> list[dict[str, Any]]:
    """A layer of candidates per class, then one of true particles per class, both where any are."""
    layers = []
    for k, kind in enumerate(scene.types):
        picks = scene.picks.of_class(k)
        if len(picks) > MAX_SHOWN:
            log.warning("%s: the best %d of %d are shown", kind.name, MAX_SHOWN, len(picks))
        if len(picks):
            threshold = float(scene.thresholds[k])
            layers.append(
                pick_layer(picks.positions, picks.scores, kind, scene.tomogram, threshold)
            )
    for k, kind in enumerate(scene.types):
        if scene.truth is not None and _of(scene.truth, k):
            positions = scene.truth.of_class(k).positions
            layers.append(truth_layer(positions, kind, scene.tomogram))
    return layers


def _local_volume(volume: NDArray[Any], voxel_spacing: Vector) -> Any:
    import neuroglancer

    return neuroglancer.LocalVolume(volume.T, dimensions=_space(voxel_spacing))


def _space(voxel_spacing: Vector) -> Any:
    """Axes x y z as neuroglancer's own object."""
    import neuroglancer

    axes = dimensions(voxel_spacing)
    return neuroglancer.CoordinateSpace(
        names=list(axes), units=[u for _, u in axes.values()], scales=[s for s, _ in axes.values()]
    )


def _of(picks: Picks, index: int) -> bool:
    return bool((picks.classes == index).any())


def _sure(scene: Scene) -> Picks:
    """The picks above the thresholds, which tell whether particles are dark."""
    return scene.picks[scene.picks.scores >= scene.thresholds[scene.picks.classes]]

"""Pictures of a training: what it learns from, what it should draw, what it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.files import atomic_path
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.slices import busiest_index, on_slice, particle_sign, take_slice
from cryo_pick.tomogram import Tomogram
from detector.heatmap import Heatmap, voxel_to_heatmap_index
from detector.settings import TargetSettings
from detector.targets import gaussian_target, target_sigmas

PANEL_INCHES = 4.0


def draw_validation(
    path: Path,
    tomogram: Tomogram,
    truth: Picks,
    picks: Picks,
    heatmap: Heatmap,
    types: ParticleTypes,
    target: TargetSettings,
) -> None:
    """One plane of a run: density with truth and picks, the wanted heatmap, the heatmap.

    Parameters
    ----------
    path
        PNG to write.
    tomogram, truth, picks
        Truth is dashed, picks are solid, both in the colours of their classes.
    heatmap
        Of that run.
    types, target
        The wanted heatmap is drawn as Gaussians of these widths, whatever the target's kind.
    """
    z = busiest_index(truth, types, tomogram, 0)
    density = take_slice(tomogram, 0, z, particle_sign(tomogram, truth, types)).picture
    cell = min(z // heatmap.stride, heatmap.values.shape[1] - 1)
    wanted = _target_plane(tomogram, truth, heatmap, cell, types, target)
    drawn = np.asarray(heatmap.values[:, cell], np.float32).max(0)
    panels = [
        (density, "density: truth dashed, picks solid"),
        (wanted, "target"),
        (drawn, "heatmap"),
    ]
    figure, axes = _panels(1, panels, density.shape)
    for chosen, style in ((truth, "--"), (picks, "-")):
        near = chosen[on_slice(chosen, types, tomogram, 0, z)]
        index = angstrom_to_index(near.positions, tomogram.voxel_spacing, tomogram.origin)
        for (_, y, x), label in zip(index, near.classes, strict=True):
            kind = types[int(label)]
            _circle(axes[0], x, y, kind.radius / tomogram.voxel_spacing[2], kind.color, style)
    _save(figure, path)


def draw_crops(path: Path, batch: dict[str, NDArray[Any]], count: int = 4) -> None:
    """Training crops and their targets: the middle plane, largest value over the classes.

    Parameters
    ----------
    path
        PNG to write.
    batch
        What :meth:`detector.sampling.CropSampler.batch` gives; a target that is no map isn't drawn.
    count
        Crops shown.
    """
    panels: list[tuple[NDArray[Any], str]] = []
    maps = batch["target"].ndim == 5
    for number, image in enumerate(batch["image"][:count]):
        panels.append((image[0, image.shape[1] // 2], f"crop {number + 1}"))
        if maps:
            target = batch["target"][number]
            panels.append((target[:, target.shape[1] // 2].max(0), "target"))
    rows = len(panels) // 2 if maps else len(panels)
    _save(_panels(rows, panels, batch["image"].shape[-2:])[0], path)


def _target_plane(
    tomogram: Tomogram,
    truth: Picks,
    heatmap: Heatmap,
    cell: int,
    types: ParticleTypes,
    target: TargetSettings,
) -> NDArray[np.float32]:
    stride = heatmap.stride
    index = angstrom_to_index(truth.positions, tomogram.voxel_spacing, tomogram.origin)
    centres = voxel_to_heatmap_index(index, stride) - np.array([cell, 0, 0])
    sigmas = target_sigmas(types.radii, target)[:, None] / np.array(tomogram.voxel_spacing) / stride
    _, _, h, w = heatmap.values.shape
    plane = gaussian_target((1, h, w), centres, truth.classes, sigmas, len(types))
    return np.asarray(plane[:, 0].max(0))


def _panels(
    rows: int, panels: list[tuple[NDArray[Any], str]], shape: tuple[int, ...]
) -> tuple[Any, list[Any]]:
    """A figure of pictures in rows, each `shape` units wide whatever its resolution."""
    from matplotlib.figure import Figure

    columns = -(-len(panels) // rows)
    height = PANEL_INCHES * shape[0] / shape[1]
    figure = Figure((PANEL_INCHES * columns, (height + 0.3) * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    extent = (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    for axis, (picture, title) in zip(axes, panels, strict=True):
        heat = "heatmap" in title or title == "target"
        limits = {"vmin": 0.0, "vmax": 1.0, "cmap": "magma"} if heat else {"cmap": "gray"}
        axis.imshow(picture, extent=extent, interpolation="nearest", **limits)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure, list(axes)


def _circle(
    axis: Any, x: float, y: float, radius: float, color: tuple[int, ...], style: str
) -> None:
    from matplotlib.patches import Circle

    edge = [c / 255 for c in color]
    axis.add_patch(Circle((x, y), radius, fill=False, edgecolor=edge, linestyle=style))


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=80)

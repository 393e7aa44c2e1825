"""One slice of a tomogram with its picks, as a picture file for a README or a talk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from cryo_pick.coordinates import angstrom_to_index
from cryo_pick.files import atomic_path
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.report.orthoslices import bar_length
from cryo_pick.report.slices import busiest_index, on_slice, particle_sign, take_slice
from cryo_pick.report.tables import missed_mask
from cryo_pick.tomogram import Tomogram
from metrics import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

WIDTH_INCHES = 10.0
DPI = 150
LEGEND_COLUMNS = 4


def write_slice_figure(
    path: str | Path,
    tomogram: Tomogram,
    picks: Picks,
    thresholds: Sequence[float] | ArrayLike,
    types: ParticleTypes,
    truth: Picks | None = None,
) -> None:
    """Draw the z slice that shows the most picks, each circled at its radius in its class colour.

    Parameters
    ----------
    path
        Of the PNG; written whole or not at all.
    tomogram
        Its volume may be lazy.
    picks
        Not cut.
    thresholds : (k,) array
        Where each class is cut; inf keeps nothing.
    types
    truth
        If given, particles that no pick hits are circled with dashes.
    """
    from matplotlib.figure import Figure

    kept = cut(picks, thresholds)
    known = truth if truth is not None and len(truth) else None
    z = busiest_index(kept, types, tomogram, 0)
    sign = particle_sign(tomogram, known or kept, types)
    picture = take_slice(tomogram, 0, z, sign).picture
    rows, columns = picture.shape
    n_lines = -(-len(types) // LEGEND_COLUMNS)
    below = 0.2 + 0.27 * n_lines  # inches
    figure = Figure((WIDTH_INCHES, WIDTH_INCHES * rows / columns + below), DPI, facecolor="white")
    figure.subplots_adjust(0, below / figure.get_figheight(), 1, 1)
    axes = figure.add_subplot()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    axes.set_axis_off()
    handles = _draw_picks(axes, kept, tomogram, types, z, "-")
    if known is not None:
        missed = known[missed_mask(kept, known, types)]
        _draw_picks(axes, missed, tomogram, types, z, ":")
    _draw_scale_bar(axes, columns, rows, tomogram.voxel_spacing[2])
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=min(max(len(handles), 1), LEGEND_COLUMNS),
        frameon=False,
        fontsize=10,
        handletextpad=0.3,
        columnspacing=1.4,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_picks(
    axes: Axes, picks: Picks, tomogram: Tomogram, types: ParticleTypes, z: int, style: str
) -> list[Line2D]:
    """Circle the picks on slice z; return a legend entry for each class that is drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Circle
    from matplotlib.patheffects import withStroke

    shown = picks[on_slice(picks, types, tomogram, 0, z)]
    index = angstrom_to_index(shown.positions, tomogram.voxel_spacing, tomogram.origin)
    handles = []
    for k, particle in enumerate(types):
        red, green, blue = (c / 255 for c in particle.color[:3])
        color = (red, green, blue)
        mine = index[shown.classes == k]
        for _, y, x in mine:
            radius = particle.radius / tomogram.voxel_spacing[2]
            axes.add_patch(
                Circle(
                    (x, y), radius, fill=False, color=color, linewidth=1.8, linestyle=style,
                    path_effects=[withStroke(linewidth=3.2, foreground="#000000a0")],
                )
            )  # fmt: skip
        if len(mine):
            handles.append(
                Line2D([], [], color=color, marker="o", fillstyle="none", linestyle="none",
                       markeredgewidth=1.8, markersize=9, label=f"{particle.name} ({len(mine)})")
            )  # fmt: skip
    return handles


def _draw_scale_bar(axes: Axes, columns: int, rows: int, spacing: float) -> None:
    """A white bar with its length in nm, in the lower left corner."""
    from matplotlib.patheffects import withStroke

    length = bar_length(columns * spacing / 10)
    x, y = 0.025 * columns, rows - 0.025 * columns
    edge = [withStroke(linewidth=4.5, foreground="black")]
    axes.plot(
        [x, x + length * 10 / spacing], [y, y], color="white", linewidth=3, path_effects=edge,
        solid_capstyle="butt",
    )  # fmt: skip
    axes.text(
        x, y - 0.012 * columns, f"{length} nm", color="white", fontsize=11, path_effects=[
            withStroke(linewidth=2.5, foreground="black")
        ],
    )  # fmt: skip
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)

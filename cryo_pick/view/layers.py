"""Layers of Neuroglancer's state, as the JSON that it reads.

Neuroglancer counts voxels by their corners where this program counts them by their centres: voxel
i covers i to i + 1 there, so half a voxel is added. Its axes are x y z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import Vector, angstrom_to_index, flip_axes
from cryo_pick.objects import ParticleType
from cryo_pick.tomogram import Tomogram

MAX_SHOWN = 3000
"""Annotations of one layer; of more, those with the highest scores are shown."""

SHADER = """#uicontrol float score slider(min=0, max=1, step=0.001, default={threshold:.3f})
void main() {{
  if (prop_score() < score) discard;
  setColor(vec4({red:.3f}, {green:.3f}, {blue:.3f}, 0.9));
}}
"""

TRUTH_SHADER = """void main() {{
  setColor(vec4({red:.3f}, {green:.3f}, {blue:.3f}, 1.0));
}}
"""

IMAGE_SHADER = """#uicontrol invlerp normalized
void main() {
  emitGrayscale(normalized());
}
"""

HEATMAP_SHADER = """#uicontrol float floor slider(min=0, max=1, step=0.01, default=0.1)
void main() {
  float value = toNormalized(getDataValue());
  if (value < floor) discard;
  emitRGBA(vec4(colormapJet(value), 0.6));
}
"""


def dimensions(voxel_spacing: Vector) -> dict[str, list[Any]]:
    """Axes x y z with the size of a voxel in nm."""
    z, y, x = (s / 10 for s in voxel_spacing)
    return {"x": [x, "nm"], "y": [y, "nm"], "z": [z, "nm"]}


def pick_layer(
    positions: NDArray[np.float64],
    scores: NDArray[np.float64],
    kind: ParticleType,
    tomogram: Tomogram,
    threshold: float,
) -> dict[str, Any]:
    """Candidates of one class, each drawn as a ball of half the radius while its score is enough.

    The slider in the layer's panel changes what is drawn without asking the server.

    Parameters
    ----------
    positions : (n, 3) array, Å, zyx
    scores : (n,) array
        Of more than `MAX_SHOWN` candidates, the best are kept.
    kind
    tomogram
    threshold
        Where the slider starts; inf starts at the far end.
    """
    best = np.argsort(-scores, kind="stable")[:MAX_SHOWN]
    shader = SHADER.format(threshold=min(max(threshold, 0.0), 1.0), **_color(kind))
    layer = _annotations(positions[best], kind, tomogram, shader)
    layer["annotationProperties"] = [{"id": "score", "type": "float32", "default": 0}]
    for annotation, score in zip(layer["annotations"], scores[best].tolist(), strict=True):
        annotation["props"] = [round(score, 4)]
    return layer | {"name": kind.name}


def truth_layer(
    positions: NDArray[np.float64], kind: ParticleType, tomogram: Tomogram
) -> dict[str, Any]:
    """True particles of one class, as boxes as wide as the particle, so that none hides a pick."""
    layer = _annotations(positions, kind, tomogram, TRUTH_SHADER.format(**_color(kind)))
    for ball in layer["annotations"]:
        centre, half = np.array(ball.pop("center")), 2 * np.array(ball.pop("radii"))
        ball["type"] = "axis_aligned_bounding_box"
        ball["pointA"], ball["pointB"] = (centre - half).tolist(), (centre + half).tolist()
    return layer | {"name": f"truth {kind.name}"}


def contrast(volume: NDArray[np.generic], sign: float = 1.0) -> dict[str, list[float]]:
    """Range of a display: the middle 99 %, turned round where particles are bright."""
    low, high = np.percentile(volume[::4, ::4, ::4].astype(np.float32), [0.5, 99.5]).tolist()
    if not high > low:
        high = low + 1.0
    return {"range": [low, high] if sign > 0 else [high, low], "window": [low, high]}


def _annotations(
    positions: NDArray[np.float64], kind: ParticleType, tomogram: Tomogram, shader: str
) -> dict[str, Any]:
    """A layer of balls, half as wide as the particle: what counts as a hit."""
    index = angstrom_to_index(positions, tomogram.voxel_spacing, tomogram.origin)
    radii = flip_axes(np.full(3, kind.radius / 2) / np.asarray(tomogram.voxel_spacing)).tolist()
    balls = [
        {"type": "ellipsoid", "id": str(i), "center": centre, "radii": radii}
        for i, centre in enumerate(flip_axes(index + 0.5).round(3).tolist())
    ]
    return {
        "type": "annotation",
        "source": {
            "url": "local://annotations",
            "transform": {"outputDimensions": dimensions(tomogram.voxel_spacing)},
        },
        "annotations": balls,
        "shader": shader,
        "tab": "rendering",
        "codeVisible": False,
    }


def _color(kind: ParticleType) -> dict[str, float]:
    return dict(zip(("red", "green", "blue"), (c / 255 for c in kind.color[:3]), strict=True))

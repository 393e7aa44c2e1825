"""The picks JSON of copick: one file holds the picks of one object by one user and session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.coordinates import flip_axes
from cryo_pick.errors import InputError, raise_all

IDENTITY = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
MAX_PROBLEMS = 10

ACCEPTED, REJECTED = "review-accepted", "review-rejected"
"""Sessions of the picks that `cryo-pick review` writes: particles, and places that are none."""


@dataclass(frozen=True)
class PicksName:
    """What a picks file is called: ``{user_id}_{session_id}_{object}.json``.

    The CZII challenge has ``{object}.json``; `user_id` and `session_id` are empty then.
    """

    user_id: str
    session_id: str
    object_name: str

    @classmethod
    def parse(cls, file_name: str) -> PicksName | None:
        """Parts of a file name, or None where it can't be one of a picks file."""
        stem, _, suffix = file_name.rpartition(".")
        if suffix != "json" or not stem or file_name.startswith("."):
            return None
        parts = stem.rsplit("_", 2)
        if len(parts) == 3:
            return cls(*parts)
        return cls("", "", stem) if len(parts) == 1 else None

    @property
    def file_name(self) -> str:
        """The file's name."""
        return "_".join(p for p in (self.user_id, self.session_id, self.object_name) if p) + ".json"


def parse_picks(content: Any, where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and scores of a picks file.

    Parameters
    ----------
    content
        The parsed JSON.
    where
        Named in error messages.

    Returns
    -------
    positions : (n, 3) float64 array, Å, zyx
    scores : (n,) float64 array
        1 where a point has none.

    Raises
    ------
    InputError
        If the unit is not Å or a point can't be used; the first ten such points are listed.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: no copick picks; expected a JSON object with `points`")
    unit = content.get("unit", "angstrom")
    if unit != "angstrom":
        raise InputError(f"{where}: field `unit` must be 'angstrom', but is {unit!r}")
    points = content.get("points")
    if points is None:
        points = []
    if not isinstance(points, list):
        raise InputError(f"{where}: field `points` must be a list")
    xyz, scores, problems = [], [], []
    for number, point in enumerate(points):
        try:
            xyz.append(_location(point))
            scores.append(_score(point))
        except ValueError as error:
            problems.append(f"point {number}: {error}")
            if len(problems) == MAX_PROBLEMS:
                break
    raise_all(problems, InputError, where)
    return flip_axes(np.array(xyz, np.float64).reshape(-1, 3)), np.array(scores, np.float64)


def _location(point: object) -> list[float]:
    location = point.get("location") if isinstance(point, dict) else None
    if not isinstance(location, dict):
        raise ValueError("no field `location` with x, y and z")
    return [_finite(location.get(axis), f"location.{axis}") for axis in "xyz"]


def _score(point: dict[str, Any]) -> float:
    score = point.get("score")
    return 1.0 if score is None else _finite(score, "score")


def _finite(value: object, field: str) -> float:
    if value is None:
        raise ValueError(f"field `{field}` is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"field `{field}` must be a number, but is {value!r:.60}")
    if not abs(value) < 1e300:
        raise ValueError(f"field `{field}` must be a finite number, but is {str(value)[:60]}")
    return float(value)


def picks_json(
    name: PicksName,
    run: str,
    positions: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> str:
    """Content of a picks file.

    Parameters
    ----------
    name
        Whose picks of which object.
    positions : (n, 3) array, Å, zyx
    scores : (n,) array
    """
    points = [
        {
            "location": dict(zip("xyz", xyz, strict=True)),
            "transformation_": IDENTITY,
            "instance_id": 0,
            "score": score,
        }
        for xyz, score in zip(flip_axes(positions).tolist(), scores.tolist(), strict=True)
    ]
    content = {
        "pickable_object_name": name.object_name,
        "user_id": name.user_id,
        "session_id": name.session_id,
        "run_name": run,
        "voxel_spacing": None,
        "unit": "angstrom",
        "trust_orientation": False,
        "points": points,
    }
    return json.dumps(content, allow_nan=False) + "\n"


def safe_name(name: str, what: str, underscore: bool = False) -> str:
    """`name`, if it can be part of a path inside a project.

    Raises
    ------
    InputError
        If it is empty, starts with a dot, has a path separator or a control character, or, unless
        `underscore`, an underscore, which separates the parts of a picks file's name.
    """
    bad = not name or name.startswith(".") or any(c in "/\\" or ord(c) < 32 for c in name)
    if bad or (not underscore and "_" in name) or len(name.encode(errors="replace")) > 200:
        rule = "no '/', '\\' or leading '.'" + ("" if underscore else ", no '_'")
        raise InputError(f"{what} {name!r:.80} can't be used as a name in a project ({rule})")
    return name

"""What every field of bundle.json has to be: a bundle may come from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryo_pick.config import from_mapping
from cryo_pick.errors import ConfigError

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
STAGES = ("one_stage", "two_stage")
_MOST = 1e12
"""Numbers beyond this are no radius, spacing, intensity or score."""

Test = Callable[[Any], bool]


def bundle_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the content of a bundle.json, one line each; empty if nothing is."""
    problems = _wrong(values, _FIELDS, "")
    if problems:
        return problems  # what follows takes these for granted
    for number, item in enumerate(values["types"]):
        problems += _wrong(item, _TYPE, f"types[{number}].")
    fits = values["fits"]
    if "one_stage" not in fits:
        problems.append("fits: expected one_stage, but it is missing")
    for stage in STAGES:
        if stage in fits:
            problems += _fit_problems(fits[stage], len(values["types"]), f"fits.{stage}")
    return problems + _settings_problems(values)


def _wrong(values: Any, fields: Mapping[str, tuple[Test, str]], prefix: str) -> list[str]:
    if not isinstance(values, dict):
        return [f"{prefix.rstrip('.')}: expected an object, but got {_shown(values)}"]
    problems = []
    for name, (test, expected) in fields.items():
        if name not in values:
            problems.append(f"{prefix}{name}: expected {expected}, but it is missing")
        elif not test(values[name]):
            problems.append(f"{prefix}{name}: expected {expected}, but got {_shown(values[name])}")
    return problems


def _fit_problems(fit: Any, k: int, prefix: str) -> list[str]:
    """Of one stage, for `k` classes."""

    def of_each(test: Test) -> Test:
        return lambda v: isinstance(v, list) and len(v) == k and all(map(test, v))

    problems = _wrong(
        fit,
        {
            "blend": (_is_object, "an object"),
            "thresholds": (of_each(_is_object), f"an object for each of {k} classes"),
            "intervals": (of_each(_is_pair), f"two numbers for each of {k} classes"),
            "curves": (of_each(_is_curve), f"lists of numbers for each of {k} classes"),
            "f4": (lambda v: _is_object(v) and _all(_is_number, v.values()), "numbers by name"),
        },
        f"{prefix}.",
    )
    if problems:
        return problems
    number, positive = f"a number for each of {k} classes", "0 or more for each class"
    problems = _wrong(
        fit["blend"],
        {
            "stage1": (of_each(_is_weight), f"{number}, {positive}"),
            "stage2": (of_each(_is_weight), f"{number}, {positive}"),
            "bias": (of_each(_is_number), number),
        },
        f"{prefix}.blend.",
    )
    if prefix.endswith("one_stage") and any(w != 0 for w in fit["blend"]["stage2"]):
        problems.append(f"{prefix}.blend.stage2: expected 0 for each class, as there is one stage")
    for index, threshold in enumerate(fit["thresholds"]):
        problems += _wrong(threshold, _THRESHOLD, f"{prefix}.thresholds[{index}].")
    return problems


def _settings_problems(values: Mapping[str, Any]) -> list[str]:
    """Of the settings that scores and thresholds hold for: the config's own checks."""
    settings = {name: dict(values[name]) for name in ("candidates", "infer", "refiner")}
    fitted = settings["infer"].pop("fitted_precision", None)  # a fact beside the settings
    if fitted not in (None, *PRECISIONS):
        known = ", ".join(PRECISIONS)
        return [f"infer.fitted_precision: expected one of {known}, but got {_shown(fitted)}"]
    if "${" in str(settings):
        return ["candidates, infer, refiner: expected plain values, but got a reference, ${...}"]
    try:
        from_mapping(settings)
    except ConfigError as error:
        return [str(error).removeprefix("config: ")]
    return []


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} …"


def _all(test: Test, values: Iterable[Any]) -> bool:
    return all(map(test, values))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and _all(_is_name, value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _is_weight(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_above_zero(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_score(value: Any) -> bool:
    """A score, or null, which stands for 'keep nothing'."""
    return value is None or (_is_number(value) and 0 <= value <= 1)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _all(_is_score, value)


def _is_curve(value: Any) -> bool:
    return _is_object(value) and _all(
        lambda v: isinstance(v, list) and _all(_is_number, v), value.values()
    )


def _is_color(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and _all(lambda v: _is_whole(v) and 0 <= v <= 255, value)
    )


def _is_intensity(value: Any) -> bool:
    return _is_object(value) and _all(
        lambda v: _is_number(v) or (isinstance(v, list) and _all(_is_number, v)), value.values()
    )


def _is_evidence(value: Any) -> bool:
    return _is_object(value) and _all(
        lambda v: _is_object(v) and isinstance(v.get("stage2_used"), bool), value.values()
    )


_FIELDS: dict[str, tuple[Test, str]] = {
    "types": (lambda v: isinstance(v, list) and len(v) > 0, "a list of at least one class"),
    "voxel_spacing": (_is_above_zero, "a number of Å above 0"),
    "tomo_type": (_is_text, "text"),
    "intensity": (_is_intensity, "numbers by name"),
    "detectors": (lambda v: _is_names(v) and len(v) > 0, "a list of at least one path"),
    "refiners": (_is_names, "a list of paths"),
    "fits": (_is_object, "an object"),
    "candidates": (_is_object, "an object"),
    "infer": (_is_object, "an object"),
    "refiner": (
        lambda v: _is_object(v) and set(v) == {"patch", "views", "batch_size"},
        "patch, views and batch_size",
    ),
    "evidence": (_is_evidence, "stage2_used, true or false, by class"),
    "folds": (lambda v: _is_object(v) and _all(_is_whole, v.values()), "whole numbers by run"),
    "versions": (lambda v: _is_object(v) and _all(_is_text, v.values()), "texts by name"),
}
"""What each field has to be."""

_TYPE: dict[str, tuple[Test, str]] = {
    "name": (_is_name, "a name"),
    "label": (_is_whole, "a whole number"),
    "radius": (_is_above_zero, "a number of Å above 0"),
    "weight": (_is_weight, "0 or more"),
    "color": (_is_color, "4 whole numbers from 0 to 255"),
}
_SCORE: tuple[Test, str] = (_is_score, "a score from 0 to 1, or null")
_THRESHOLD: dict[str, tuple[Test, str]] = {
    "threshold": _SCORE,
    "f": (lambda v: v is None or _is_weight(v), "0 or more, or null"),
    "plateau_low": _SCORE,
    "plateau_high": _SCORE,
}

"""Picks of a `predict` folder cut again at other thresholds, without any network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import FILE, Bundle, read_bundle
from cryo_pick.pipeline.fit import FLOOR
from metrics.thresholds import cut
from refiner.blend import scored_picks


def keep_bundle_beside(bundle_folder: Path, out: Path) -> None:
    """Copy bundle.json, so that candidates can be cut again without the bundle."""
    write_text_atomic(out / FILE, (bundle_folder / FILE).read_text(encoding="utf-8"))


def recut(
    folder: Path, stage: str | None, changed: Mapping[str, float]
) -> tuple[dict[str, Picks], Bundle]:
    """Picks of a `predict` folder at the bundle's thresholds or at others, without any network.

    Parameters
    ----------
    folder
    stage
        None: the one that the candidates were scored by.
    changed
        Thresholds by class name that replace the bundle's.

    Raises
    ------
    InputError
        If the folder holds no candidates.
    ConfigError
        If a class is unknown, or stage two is asked for and was not run.
    """
    bundle = read_bundle(folder)
    files = sorted((folder / "runs").glob("*/candidates.npz"))
    if not files:
        raise InputError(
            f"{folder}: no runs/*/candidates.npz here; give a folder that `cryo-pick predict` wrote"
        )
    unknown = sorted(set(changed) - set(bundle.types.names))
    if unknown:
        raise ConfigError(
            f"threshold of unknown class {', '.join(unknown)}; "
            f"known: {', '.join(bundle.types.names)}"
        )
    result: dict[str, Picks] = {}
    for path in files:
        file = read_candidates(path)
        ran = "two_stage" if file.candidates.stage2 is not None else "one_stage"
        if stage == "two_stage" and ran == "one_stage":
            raise ConfigError(
                f"{path}: these candidates were not refined; predict with --two-stage first"
            )
        fit = bundle.fits[stage or ran]
        cuts = [
            changed.get(n, t) for n, t in zip(bundle.types.names, fit.cut.tolist(), strict=True)
        ]
        floor = min([FLOOR, *(c for c in cuts if np.isfinite(c))])
        result[path.parent.name] = cut(
            scored_picks(file.candidates, fit.blend, bundle.types, floor), cuts
        )
    return result, bundle

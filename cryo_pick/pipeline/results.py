"""Out-of-fold candidates of a trained folder: fitted into a bundle, or shown in a report."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from cryo_pick import __version__
from cryo_pick.candidates import Candidates
from cryo_pick.config import Config, from_mapping
from cryo_pick.errors import ConfigError, InputError
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.yaml_file import read_yaml
from cryo_pick.network_spec import read_spec
from cryo_pick.pipeline.bundle import Bundle, read_bundle, write_bundle
from cryo_pick.pipeline.copies import is_copy, original, turned
from cryo_pick.pipeline.dataset import Dataset, load_dataset
from cryo_pick.pipeline.fit import FLOOR, FitOutcome, fit_candidates
from cryo_pick.pipeline.guards import intensity_summary
from cryo_pick.pipeline.spent import read_spent
from cryo_pick.pipeline.surprises import DENSITY, densities
from cryo_pick.report.data import ReportData, RunResult
from cryo_pick.tomogram import Tomogram
from detector.engine import precision_in_force
from metrics.thresholds import cut
from refiner.blend import scored_picks

logger = logging.getLogger(__name__)


def read_config(folder: Path) -> Config:
    """The config that a folder was trained with.

    Raises
    ------
    InputError
        If there is none, or it can't be read.
    """
    path = folder / "config.yaml"
    try:
        values = read_yaml(path)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: not a folder made by `cryo-pick train`: config.yaml is missing"
        ) from error
    # OmegaConf would fill ${oc.env:NAME} in, and a stranger's config could send it to a stranger.
    if "${" in str(values):
        raise InputError(f"{path}: holds a reference, ${{...}}; expected plain values only")
    try:
        return from_mapping(values)
    except ConfigError as error:  # the file is at fault and not the command line
        raise InputError(f"{path}: {error}") from error


def read_oof(folder: Path, data: Dataset) -> dict[str, Candidates]:
    """Out-of-fold candidates by run, and of turned copies where they were made.

    Raises
    ------
    InputError
        If there are none, or their classes are not the project's.
    """
    found: dict[str, Candidates] = {}
    for path in sorted((folder / "oof").glob("*.npz")):
        file = read_candidates(path)
        if file.class_names != data.types.names:
            raise InputError(
                f"{path}: its classes are {', '.join(file.class_names)}, the project's "
                f"{', '.join(data.types.names)}"
            )
        if original(path.stem) in data.runs:
            found[path.stem] = file.candidates
    if not found:
        raise InputError(
            f"{folder}: no out-of-fold candidates (oof/*.npz); run cryo-pick train first"
        )
    return found


def fit_bundle(
    folder: Path, data: Dataset, folds: Mapping[str, int], config: Config
) -> tuple[Bundle, FitOutcome]:
    """Fit blend and thresholds on the candidates of a folder, and write bundle.json there."""
    found = read_oof(folder, data)
    candidates = {r: c for r, c in found.items() if config.fit.turned_copies or not is_copy(r)}
    truth = {
        r: turned(data.runs[original(r)]).truth if is_copy(r) else data.runs[r].truth
        for r in candidates
    }
    in_fold = {r: folds[original(r)] for r in candidates}
    outcome = fit_candidates(candidates, truth, data.types, in_fold, config.fit)
    first = next(iter(data.runs.values()))
    detectors = _members(folder, "detector")
    known = all(read_spec(folder / member).int8_ranges for member in detectors)
    bundle = Bundle(
        types=data.types,
        voxel_spacing=data.voxel_spacing,
        tomo_type=first.tomogram.tomo_type,
        intensity=intensity_summary([r.statistics for r in data.runs.values()]),
        detectors=detectors,
        refiners=_members(folder, "refiner") if "two_stage" in outcome.fits else (),
        fits=outcome.fits,
        candidates=asdict(config.candidates) | {"path": None},
        infer=asdict(config.infer)
        | {
            "views": config.infer.views or 1,
            "fitted_precision": precision_in_force(config.infer, known),
        },
        refiner={
            "patch": config.refiner.patch,
            "views": config.refiner.views,
            "batch_size": config.refiner.batch_size,
        },
        evidence=_with_densities(outcome, data),
        folds={run: fold for run, fold in in_fold.items() if not is_copy(run)},
        versions={"cryo-pick": __version__, "torch": metadata.version("torch")},
    )
    write_bundle(folder, bundle)
    write_text_atomic(folder / "model-card.md", model_card(bundle))
    return bundle, outcome


def write_thresholds(bundle: Bundle, project: str | Path) -> None:
    """Write the thresholds of the last stage into a copick project's config.

    Raises
    ------
    InputError
        If the project can't be written, or lacks a class.
    """
    cuts = bundle.fits["two_stage" if "two_stage" in bundle.fits else "one_stage"].cut.tolist()
    kept = {
        t.name: c if math.isfinite(c) else None for t, c in zip(bundle.types, cuts, strict=True)
    }
    open_project(project).write_thresholds(kept)


def _with_densities(outcome: FitOutcome, data: Dataset) -> dict[str, Any]:
    """The evidence for stage 2, and how dense the picks of each class are, out of fold."""
    stage = "two_stage" if "two_stage" in outcome.fits else "one_stage"
    picks = {run: cut(p, outcome.fits[stage].cut) for run, p in outcome.picks[stage].items()}
    tomograms = {run: data.runs[run].tomogram for run in picks}
    dense = densities(picks, tomograms, data.types)
    return {name: {**of, DENSITY: dense[name]} for name, of in outcome.evidence.items()}


def _members(folder: Path, stage: str) -> tuple[str, ...]:
    """Weights of a stage, relative to the folder, without ending."""
    found = sorted((folder / stage).glob("*.safetensors"))
    if stage == "detector" and not found:
        raise InputError(f"{folder}: no detector weights (detector/*.safetensors)")
    return tuple(f"{stage}/{path.stem}" for path in found)


def load_report_data(folder: Path) -> tuple[ReportData, Callable[[str], Tomogram] | None]:
    """What the report of a trained folder shows, and how to open its tomograms.

    Raises
    ------
    InputError
        If the folder is no trained bundle, or its project is gone.
    """
    bundle, config = read_bundle(folder), read_config(folder)
    data = load_dataset(config)
    candidates = read_oof(folder, data)
    two = bundle.fits.get("two_stage")
    runs = tuple(
        RunResult(
            run,
            data.runs[run].truth,
            scored_picks(c, bundle.fits["one_stage"].blend, data.types, FLOOR),
            scored_picks(c, two.blend, data.types, FLOOR) if two else None,
        )
        for run, c in candidates.items()
        if not is_copy(run)
    )
    spent = read_spent(folder)
    report = ReportData(
        title=f"cryo-pick: out-of-fold results of {Path(str(config.data.project)).name}",
        types=data.types,
        runs=runs,
        thresholds_one=bundle.fits["one_stage"].cut,
        thresholds_two=two.cut if two else None,
        beta=config.fit.beta,
        folds=bundle.folds,
        provenance={
            "project": str(config.data.project),
            "detector": f"{config.model.network} x {len(bundle.detectors)}",
            "refiner": f"{config.refiner.network} x {len(bundle.refiners)}"
            if bundle.refiners
            else "none",
            **bundle.versions,
        },
        timings=spent.seconds,
        memory=spent.memory,
        notes=_notes(bundle),
        smoothing=config.fit.smoothing,
    )
    return report, lambda run: data.runs[run].tomogram


def _notes(bundle: Bundle) -> tuple[str, ...]:
    off = [name for name, e in bundle.evidence.items() if not e["stage2_used"]]
    notes = ["Every score here is out of fold: no network saw the run that it scored."]
    if off:
        notes.append(
            f"Stage 2 is left out for {', '.join(off)}: out of fold it did not help there."
        )
    return tuple(notes)


def model_card(bundle: Bundle) -> str:
    """Markdown that says what the bundle is for, how good it is and where it ends."""
    stage = "two_stage" if "two_stage" in bundle.fits else "one_stage"
    fit = bundle.fits[stage]
    lines = [
        "# Model card",
        "",
        f"Particle picker for cryo-ET tomograms at {bundle.voxel_spacing:.3f} Å per voxel"
        + (f", reconstruction type `{bundle.tomo_type}`" if bundle.tomo_type else "")
        + f", made by cryo-pick {bundle.versions.get('cryo-pick', '?')}.",
        "",
        f"- Detectors: {len(bundle.detectors)}; refiners: {len(bundle.refiners)}",
        f"- Trained on {len(bundle.folds)} runs: {', '.join(sorted(bundle.folds))}",
        f"- Weighted F4 out of fold, thresholds from the other folds: {fit.f4['nested']:.3f} "
        f"(90 % interval over runs {fit.f4['nested_low']:.3f} to {fit.f4['nested_high']:.3f}); "
        f"with thresholds fitted on the same runs: {fit.f4['optimistic']:.3f}",
        "",
        "| class | radius Å | weight | threshold | F4 at it | stage 2 |",
        "|---|---|---|---|---|---|",
    ]
    for index, kind in enumerate(bundle.types):
        choice = fit.thresholds[index]
        used = "yes" if fit.blend.stage2[index] > 0 else "no"
        lines.append(
            f"| {kind.name} | {kind.radius:g} | {kind.weight:g} | {choice.threshold:.3f} "
            f"| {choice.f:.3f} | {used} |"
        )
    lines += [
        "",
        "Thresholds hold for tomograms like the training data: the same voxel spacing, contrast",
        "and kind of reconstruction. `cryo-pick predict` compares and says what differs.",
        "",
    ]
    return "\n".join(lines)
